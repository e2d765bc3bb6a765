# As echo.c, made with ruby-fcgi: with the half of it that is Ruby. Its C half
# cannot be loaded in Debian 12 (it wants rb_secure, which Ruby 3 has not).
ENV['USE_PURE_RUBY_FCGI'] = '1'
require 'fcgi'

PLAIN = "Content-Type: text/plain\r\n\r\n"

def sum(input)
  h, size = 0xcbf29ce484222325, 0
  while (piece = input.read(65536)) && !piece.empty?
    piece.each_byte { |b| h = (h ^ b) * 0x100000001b3 & 0xffffffffffffffff }
    size += piece.bytesize
  end
  format('%d %016x', size, h)
end

FCGI.each do |r|
  case r.env['QUERY_STRING'].to_s[/\Ado=(\w+)/, 1]
  when 'hello' then r.out.print PLAIN, 'hello'
  when 'sum' then r.out.print PLAIN, sum(r.in)
  when 'big'
    r.out.print PLAIN
    655360.times { r.out.print '0123456789abcdef' }
  when 'missing' then r.out.print "Status: 404 Not Found\r\n", PLAIN, 'missing'
  when 'moved' then r.out.print "Location: http://example.org/there\r\n\r\n"
  when 'note'
    r.err.print "a note to the log\n"
    r.out.print PLAIN, 'noted'
  when 'head'
    r.out.print 'X-Large: ', 'x' * 30000, "\r\n"
    (1..99).each { |i| r.out.print "X-#{i}: #{i}\r\n" }
    r.out.print PLAIN, 'head'
  when 'exit'
    r.out.print PLAIN, "begun\n"
    Process.kill 'KILL', Process.pid
  else
    r.out.print PLAIN
    r.env.each { |name, value| r.out.print name, '=', value, "\n" }
  end
end
