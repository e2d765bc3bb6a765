# The same as main.go, with FCGI.pm, which serves one connection at a time.
use strict; use warnings; use FCGI; use Time::HiRes qw(time sleep);
my ($ms, $file) = @ARGV;
sleep $ms / 1000;
open my $f, '>', $file or die "$file: $!"; printf $f "%.0f", time * 1e9; close $f;
my $r = FCGI::Request();
while ($r->Accept >= 0) {
    exit 3 if $ENV{SCRIPT_NAME} . ($ENV{PATH_INFO} // '') eq '/die';
    print "Content-Type: text/plain\r\n\r\nhello";
}
