A = 1
B = {{ STDIDD }}
