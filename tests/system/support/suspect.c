/* What a student might run, in ways that make it hard to be seen or stopped. Nothing of it mines:
 * it burns a bounded time on processors, or sleeps, and ends by itself after a quarter of an hour. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long sink;

static void bound(void) {
    struct rlimit cpu = {30, 30};
    setrlimit(RLIMIT_CPU, &cpu);
    alarm(900);
}

static void burn(void) {
    for (;;)
        for (int i = 0; i < 1000000; i++)
            sink += i * i;
}

/* Busy for one part of `parts`. */
static void burn_a_little(int parts) {
    for (;;) {
        for (int i = 0; i < 3000000; i++)
            sink += i * i;
        usleep(3000 * parts);
    }
}

static void copy(const char *from, int to) {
    int in = open(from, O_RDONLY);
    struct stat st;
    fstat(in, &st);
    off_t at = 0;
    while (at < st.st_size && sendfile(to, in, &at, st.st_size - at) > 0)
        ;
    close(in);
}

/* Writes other words over its own arguments. */
static void disguise(int argc, char **argv, const char *words) {
    char *end = argv[argc - 1] + strlen(argv[argc - 1]);
    size_t room = end - argv[0];
    memset(argv[0], 0, room);
    size_t length = 0;
    for (const char *c = words; *c && length + 1 < room; c++)
        argv[0][length++] = *c == ' ' ? 0 : *c;
    prctl(PR_SET_NAME, "python3");
}

static void bomb(int most) {
    /* Each child stays; the first process makes new ones for those that ended. */
    int alive = 0;
    for (;;) {
        while (alive < most) {
            pid_t pid = fork();
            if (pid < 0)
                break;
            if (pid == 0) {
                bound();
                usleep(500000 + (getpid() % 100) * 20000);
                _exit(0);
            }
            alive++;
        }
        while (waitpid(-1, NULL, WNOHANG) > 0)
            alive--;
        usleep(1000);
    }
}

static void *thread(void *nothing) {
    burn();
    return nothing;
}

static void pool(int port) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (connect(s, (struct sockaddr *)&to, sizeof to))
        _exit(3);
    const char *hello = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n";
    if (write(s, hello, strlen(hello)) < 0)
        _exit(4);
    burn();
}

static void *rest(void *nothing) {
    pause();
    return nothing;
}

static void *unmap(void *mapped) {
    munmap(mapped, 4096);
    return mapped;
}

/* Nobody can read what is in its memory any more, once the file system of that file does not answer:
 * one thread waits for what it wrote to be taken, another one for the first. Both hold on to the map. */
static void lock_memory(const char *path) {
    int fd = open(path, O_RDWR);
    char *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        _exit(7);
    mapped[0] = 0x7f;
    close(creat("mapped", 0600));
    while (access("go", F_OK))
        usleep(1000);
    pthread_t first;
    pthread_create(&first, NULL, unmap, mapped);
    usleep(100000);
    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "idle";
    int number = argc > 2 ? atoi(argv[2]) : 1;
    bound();
    if (!strcmp(how, "burn")) {
        burn();
    } else if (!strcmp(how, "disguised")) {
        disguise(argc, argv, argc > 2 ? argv[2] : "python");
        burn();
    } else if (!strcmp(how, "deleted")) {
        unlink(argv[0]);
        burn();
    } else if (!strcmp(how, "memfd")) {
        int fd = memfd_create("", 0);
        copy("/proc/self/exe", fd);
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        execl(path, "helper", "burn", NULL);
    } else if (!strcmp(how, "again")) {
        /* Every second under another name. */
        for (int turn = 0;; turn++) {
            char name[64];
            snprintf(name, sizeof name, "./task-%d-%d", getpid(), turn);
            int fd = open(name, O_WRONLY | O_CREAT, 0755);
            copy("/proc/self/exe", fd);
            close(fd);
            pid_t pid = fork();
            if (pid == 0) {
                execl(name, name + 2, "burn", NULL);
                _exit(1);
            }
            usleep(950000);
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            unlink(name);
        }
    } else if (!strcmp(how, "split")) {
        for (int i = 0; i < number; i++)
            if (fork() == 0) {
                bound();
                burn_a_little(number);
            }
        pause();
    } else if (!strcmp(how, "nice")) {
        nice(19);
        burn();
    } else if (!strcmp(how, "leaderless")) {
        /* The first thread ends: the process looks like one that has. */
        pthread_t other;
        pthread_create(&other, NULL, thread, NULL);
        syscall(SYS_exit, 0);
    } else if (!strcmp(how, "daemon")) {
        if (fork())
            _exit(0);
        setsid();
        if (fork())
            _exit(0);
        bound();
        burn();
    } else if (!strcmp(how, "bomb")) {
        bomb(number);
    } else if (!strcmp(how, "pool")) {
        pool(number);
    } else if (!strcmp(how, "traced")) {
        pid_t child = fork();
        if (child == 0) {
            bound();
            raise(SIGSTOP);
            pause();
        }
        int status;
        waitpid(child, &status, WUNTRACED);
        ptrace(PTRACE_SEIZE, child, 0, 0);
        burn();
    } else if (!strcmp(how, "ids")) {
        /* Of root's: real, effective and saved uid. */
        if (argc < 5 || setresuid(number, atoi(argv[3]), atoi(argv[4])))
            _exit(5);
    } else if (!strcmp(how, "odd")) {
        /* Open things that nobody can read from, in a directory that is gone. */
        mkfifo("fifo", 0600);
        open("fifo", O_RDWR | O_NONBLOCK);
        socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0});
        open("gone", O_RDWR | O_CREAT, 0600);
        unlink("gone");
        for (int i = 0; i < 200; i++)
            memfd_create("\033[2Jmany\n", 0);
        if (mkdir("below", 0700) || chdir("below") || rmdir("../below"))
            _exit(6);
    } else if (!strcmp(how, "large")) {
        /* So many threads, and as many open files as it may have. */
        struct rlimit files;
        getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        while (open("/dev/null", O_RDONLY) >= 0)
            ;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 16384);
        pthread_t other;
        for (int i = 0; i < number; i++)
            if (pthread_create(&other, &small, rest, NULL))
                break;
        prctl(PR_SET_NAME, "ready");
        syscall(SYS_exit, 0);
    } else if (!strcmp(how, "keeps")) {
        /* So many MiB, and the first thread ends. */
        memset(malloc((size_t)number << 20), 1, (size_t)number << 20);
        pthread_t other;
        pthread_create(&other, NULL, rest, NULL);
        syscall(SYS_exit, 0);
    } else if (!strcmp(how, "deeper")) {
        /* As the same program at a path that is longer than any call can tell. */
        char name[251];
        memset(name, 'd', 250);
        name[250] = 0;
        for (int i = 0; i < 20; i++)
            if (mkdir(name, 0700) | chdir(name))
                _exit(8);
        int to = open("notes", O_WRONLY | O_CREAT, 0755);
        copy("/proc/self/exe", to);
        close(to);
        execl("./notes", "notes", "burn", NULL);
    } else if (!strcmp(how, "locked")) {
        lock_memory(argv[2]);
    } else if (!strcmp(how, "deaf")) {
        for (int s = 1; s < 32; s++)
            signal(s, SIG_IGN);
        if (fork() == 0) {
            bound();
            signal(SIGALRM, SIG_DFL);
            burn();
        }
        raise(SIGSTOP);
        pause();
    } else if (!strcmp(how, "storm")) {
        /* Short-lived programs, so many a second as the machine keeps up with; with a file, it is
         * run, and what runs longer than to the next one is not waited for. */
        const char *file = argc > 3 ? argv[3] : "/bin/true";
        if (argc > 3)
            signal(SIGCHLD, SIG_IGN);
        struct timespec next;
        clock_gettime(CLOCK_MONOTONIC, &next);
        for (;;) {
            next.tv_nsec += 1000000000 / (argc > 2 ? number : 1000000);
            next.tv_sec += next.tv_nsec / 1000000000;
            next.tv_nsec %= 1000000000;
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
            pid_t pid = vfork();
            if (pid == 0) {
                execl(file, file, NULL);
                _exit(1);
            }
            if (argc <= 3)
                waitpid(pid, NULL, 0);
        }
    }
    pause();
    return 0;
}
