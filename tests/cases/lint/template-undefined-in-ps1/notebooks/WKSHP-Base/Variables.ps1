Write-Host {{ STDIDD }}
