{% macro m(x, y=STDIDX) %}{{ x }}{{ z }}{% endmacro %}{{ m(1) }}
