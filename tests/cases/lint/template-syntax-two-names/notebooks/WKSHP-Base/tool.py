A = {{ TOPIC.x | default('y') }} {{ STDID WORKSHOP }}
