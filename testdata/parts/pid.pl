# Answers with the number of its process. With LEAK in the environment it keeps
# so many bytes more with each request.
use strict;
use warnings;
use FCGI;

my $leak = $ENV{LEAK}; # Accept replaces the environment
my @kept;
my $request = FCGI::Request();
while ($request->Accept() >= 0) {
    push @kept, 'x' x $leak if $leak;
    print "Content-Type: text/plain\r\n\r\n$$";
}
