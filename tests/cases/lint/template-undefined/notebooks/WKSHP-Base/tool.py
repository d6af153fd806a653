# é
A = {{ STDIDD }}
