// Package bench measures caching proxies: it drives a workload through one,
// checks every byte that comes back and counts what happened. It knows a proxy
// only from outside, and nothing of how its findings are shown.
package bench
