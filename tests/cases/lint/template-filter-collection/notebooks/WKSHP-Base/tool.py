A = {{ STDID | ansible.builtin.boool }}
