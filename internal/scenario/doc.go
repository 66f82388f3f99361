// Package scenario holds no code, only end-to-end tests: they build the real
// binary, run it as an operator would and use it over loopback sockets with
// curl, a browser, other proxies and log analysers. What one package promises
// alone is tested beside that package.
package scenario
