// Package static serves files that are really under a folder.
//
// [Files] holds the folder open (os.Root), so that no path and no symbolic
// link leads out of it, whatever happens to the tree meanwhile. Besides
// serving, it says which part of a URL path is a file: [Files.Split].
//
// Ranges, conditional requests and lengths are net/http's; the content types
// are those of a table, never guessed from the content. What must not be
// served: hidden files (".git", ".env"; "/.well-known/" is the exception of
// RFC 8615), everything that is not a regular file, and lists of folders.
package static
