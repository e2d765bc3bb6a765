#!/usr/bin/perl
# As echo.c, made with FCGI.pm: an application, or a CGI program where the
# standard input is no socket.
use strict;
use warnings;
no warnings 'portable'; # numbers of 64 bits
use FCGI;

my $plain = "Content-Type: text/plain\r\n\r\n";

sub sum {
    my ($size, $h) = (0, 0xcbf29ce484222325);
    while (my $n = read(STDIN, my $piece, 65536)) {
        use integer; # multiplies modulo 2**64
        $h = ($h ^ $_) * 0x100000001b3 for unpack('C*', $piece);
        $size += $n;
    }
    printf '%s%d %016x', $plain, $size, $h;
}

sub slow {
    my ($request) = @_;
    $| = 1; # for the CGI program, which does without Flush
    my $ok = print $plain, "begun\n";
    for (my $i = 0; $i < 200 && $ok; $i++) {
        $request->Flush();
        select(undef, undef, undef, 0.01);
        $ok = print '.';
    }
}

my $request = FCGI::Request();
while ($request->Accept() >= 0) {
    my ($do) = ($ENV{QUERY_STRING} // '') =~ /^do=(\w+)/;
    if ($do eq 'hello') {
        print $plain, 'hello';
    } elsif ($do eq 'sum') {
        sum();
    } elsif ($do eq 'big') {
        print $plain;
        print '0123456789abcdef' for 1 .. 655360;
    } elsif ($do eq 'missing') {
        print "Status: 404 Not Found\r\n", $plain, 'missing';
    } elsif ($do eq 'moved') {
        print "Location: http://example.org/there\r\n\r\n";
    } elsif ($do eq 'note') {
        print STDERR "a note to the log\n";
        print $plain, 'noted';
    } elsif ($do eq 'head') {
        print 'X-Large: ', 'x' x 30000, "\r\n";
        print "X-$_: $_\r\n" for 1 .. 99;
        print $plain, 'head';
    } elsif ($do eq 'exit') {
        $| = 1;
        print $plain, "begun\n";
        $request->Flush();
        kill 'KILL', $$;
    } elsif ($do eq 'slow') {
        slow($request);
    } else {
        print $plain;
        print "$_=$ENV{$_}\n" for sort keys %ENV;
    }
    $request->Finish();
}
