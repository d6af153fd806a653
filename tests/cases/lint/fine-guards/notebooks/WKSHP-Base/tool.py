{{ a.b | default('x') }} {% if q is defined and q.r %}{{ q.r }}{% else %}{{ q | d }}{% endif %}
{{ 'x' if z is undefined else z }} {{ (w) | default(1) }} {{ vars['v'] | default(2) }}
{% set ns = namespace(n=0) %}{% set ns.n = 1 %}{{ ns.n }} {{ lookup is defined }}
{% import 'x' as x %}{{ x.y }}
{{ dict(a=1).a }} {{ [1, 2] | map('string') | join(',') }} {{ 7 % 3 }} {{ 'a' 'b' }}
