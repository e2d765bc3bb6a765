<?php
// As echo.c.
ini_set('html_errors', '0');
header('Content-Type: text/plain');
switch ($_GET['do'] ?? '') {
case 'hello':
    echo 'hello';
    break;
case 'sum':
    $body = file_get_contents('php://input');
    echo strlen($body), ' ', hash('fnv1a64', $body);
    break;
case 'big':
    for ($i = 0; $i < 655360; $i++) {
        echo '0123456789abcdef';
    }
    break;
case 'missing':
    http_response_code(404);
    echo 'missing';
    break;
case 'moved':
    header('Location: http://example.org/there');
    break;
case 'note':
    error_log('a note to the log');
    echo 'noted';
    break;
case 'head':
    header('X-Large: ' . str_repeat('x', 30000));
    for ($i = 1; $i < 100; $i++) {
        header("X-$i: $i");
    }
    echo 'head';
    break;
case 'exit':
    echo "begun\n";
    flush();
    exec('kill -9 ' . getmypid());
    break;
case 'slow':
    echo "begun\n";
    for ($i = 0; $i < 200; $i++) { // PHP ends a script whose write fails
        flush();
        usleep(10000);
        echo '.';
    }
    break;
default:
    foreach ($_SERVER as $name => $value) {
        if (is_string($value)) {
            echo "$name=$value\n";
        }
    }
}
