package figure

import "testing"

func TestFigures(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{Duration(0), "0"}, {Duration(5e-9), "5ns"}, {Duration(1.5e-6), "1.50µs"}, {Duration(0.000999), "999µs"}, {Duration(0.0123), "12.3ms"},
		{Duration(0.9999), "1.00s"}, {Duration(75.04), "75.0s"}, {Duration(3700), "1h1m40s"}, {Duration(-1), "-"},
		{Bytes(0), "0 B"}, {Bytes(1023), "1023 B"}, {Bytes(10 << 20), "10.0 MiB"}, {Bytes(3 << 40), "3.00 TiB"},
		{Percent(0.12345), "12.35 %"}, {Rate(12.345), "12.3"}, {Rate(98765.4), "98765"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}
