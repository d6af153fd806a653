ok
  {% raw %}{{ no }}
