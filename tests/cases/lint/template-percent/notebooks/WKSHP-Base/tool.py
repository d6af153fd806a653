{{ 'student%s' % STDID }}
{{ '%s-%s' % (STDID, WORKSHOP) }}
