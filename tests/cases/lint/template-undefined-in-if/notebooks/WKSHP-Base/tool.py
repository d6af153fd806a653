{% if BRANDNG == "x" %}
{% endif %}
