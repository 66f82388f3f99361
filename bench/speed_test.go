package bench

import (
	"context"
	"testing"
	"time"
)

// BenchmarkGenerator asks the bench's own origin over loopback: one operation is
// a request of 1 KB made, answered, checked and counted.
func BenchmarkGenerator(b *testing.B) {
	c := DefaultConfig()
	c.Proxy, c.Sizes, c.Duration, c.Requests = "", "1KiB", 0, int64(b.N)
	c.Timeout = time.Minute
	b.ReportAllocs()
	r, err := Run(context.Background(), c, nil)
	if err != nil {
		b.Fatal(err)
	}
	if r.Errors() > 0 {
		b.Fatalf("%+v", r.Failures)
	}
	b.ReportMetric(float64(r.GeneratorCPU.PerRequest.Nanoseconds()), "cpu-ns/op")
}
