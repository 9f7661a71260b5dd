-- Lists rooms. ARGV: 5 after which id, 6 whether listed ones alone, 7 how many at most. Returns the last id that was looked at ('' at the
-- end), and the records.
local ids = call('ZRANGEBYLEX', ARGV[6] == '1' and LISTED or ROOMS, ARGV[5] == '' and '-' or '(' .. ARGV[5], '+', 'LIMIT', 0, ARGV[7])
local records = {}
for _, id in ipairs(ids) do
	records[#records + 1] = record(id)
end
return {#ids == tonumber(ARGV[7]) and ids[#ids] or '', records}
