// Package floors keeps two rules of the code as tests: imports only ever point
// down, and every package says what it is. It holds no code of its own.
package floors
