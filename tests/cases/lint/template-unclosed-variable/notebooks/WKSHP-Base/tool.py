A = 1
B = {{ STDID
