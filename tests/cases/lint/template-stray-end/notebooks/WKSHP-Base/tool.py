A
{% endif %}
