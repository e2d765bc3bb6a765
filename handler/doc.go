// Package handler holds what an application, or a gateway, wants around its
// cgi.Handler: the access log.
package handler
