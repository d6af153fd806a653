A = {{ STDID | defualt(1) }}
