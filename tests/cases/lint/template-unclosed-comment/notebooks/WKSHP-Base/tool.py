A = 1 {# note
