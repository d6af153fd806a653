{% fi STDID %}x{% endif %}
