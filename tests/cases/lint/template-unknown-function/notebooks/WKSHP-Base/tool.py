{{ rnage(3) }}
