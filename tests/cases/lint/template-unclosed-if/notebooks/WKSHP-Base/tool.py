A = 1
{% if STDID %}
B = 2
