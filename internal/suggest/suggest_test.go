package suggest

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"memory", "disk", "listen", "access_log", "allow-from", "allow-to", "dns"}
	for _, tt := range []struct{ word, want string }{
		{"memroy", "memory"},
		{"Memory", "memory"},
		{"lisen", "listen"},
		{"access-log", "access_log"},
		{"acces_log", "access_log"},
		{"allow_form", "allow-from"},
		{"dsn", "dns"},
		{"dik", "disk"},
		{"colour", ""},
		{"x", ""},
		{"", ""},
		{"a-very-long-word-that-nobody-knows", ""},
	} {
		if got := Nearest(tt.word, known); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3},
		{"ab", "ba", 1}, {"listen", "lsiten", 1}, {"same", "same", 0},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
