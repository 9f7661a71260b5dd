-- Nobody finds the room any more. ARGV: 5 id. Returns 1 when it is to be called again.
return forget(ARGV[5]) and 1 or 0
