# an immutable file
# needs: root
mkdir d && echo x >d/f && chmod 400 d/f
chattr +i d/f 2>/dev/null || { echo "chattr +i is not possible here"; exit 77; }
