{% if STDID is definde %}x{% endif %}
{{ 1 if TOPIC is not strng }}
