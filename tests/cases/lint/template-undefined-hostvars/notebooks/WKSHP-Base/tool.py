{{ hostvars[inventory_hostname]['IP-WKSHP-Docker102'] }}
{{ vars['NOPE'] | default(1) }}
{{ hostvars[inventory_hostname]['IP-WKSHP-Docker101'] }}
