{%- set port = 8000 + STDID %}
PORT = {{ port }}
{% for n in range(3) if n is odd %}
LINE = "{{ n }}/{{ loop.index }}"
{% endfor %}
{% macro greet(name, word='hello') %}{{ word }} {{ name }}{% endmacro %}
{{ greet('you') }}
{% if JPHUB is defined %}HUB = "{{ JPHUB }}"{% endif %}
HOST = "{{ hostvars[inventory_hostname]['WODUSER'] }}"
TOKEN = "{{ TOKEN }}"
TEXT = "{{ '%s' | format(STDID) }}"
DICT = {{ {'a': STDID}.a }}
{% with x = 1, y = STDID %}{{ x + y }}{% endwith %}
{% set text %}block {{ STDID }}{% endset %}{{ text }}
{{ (missing.thing | default('x')) ~ (other is not defined) }}
