{% if STDID %}
  {% for x in [1] %}
{% endif %}
