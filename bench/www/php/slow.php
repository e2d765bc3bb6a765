<?php
// Serves for 50 ms and says how long it really was: whatever more the client sees is waiting. The body is the process,
// a number, and so many bytes, so that a part of an answer is not taken for the whole.
$begun = hrtime(true);
usleep(50000);
$n = 1000;
header('Content-Type: text/plain');
header('X-Service-Us: ' . intdiv(hrtime(true) - $begun, 1000));
echo getmypid(), ' ', $n, "\n", str_repeat('x', $n);
