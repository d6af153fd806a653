{% for a, b in STDIDS.items() %}{{ a }}{{ b }}{% endfor %}
{{ a }}
