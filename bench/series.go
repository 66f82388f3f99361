package bench

import "time"

// maxPoints bounds a series: an hour at first.
const maxPoints = 3600

// append adds a point and halves the number of points when there are too many.
// Points come once a second; merging collects Step worth of them.
func (s *Series) append(p Point) {
	if s.Step == 0 {
		s.Step = time.Second
	}
	if n := len(s.Points); n > 0 && s.Points[n-1].Span < s.Step-s.Step/8 {
		s.Points[n-1] = mergePoints(s.Points[n-1], p)
		return
	}
	if len(s.Points) == maxPoints {
		half := s.Points[:0]
		for i := 0; i+1 < maxPoints; i += 2 {
			half = append(half, mergePoints(s.Points[i], s.Points[i+1]))
		}
		s.Points, s.Step = half, 2*s.Step
	}
	s.Points = append(s.Points, p)
}

func mergePoints(a, b Point) Point {
	m := Point{
		At: a.At, Span: a.Span + b.Span, Requests: a.Requests + b.Requests, Hits: a.Hits + b.Hits,
		Cached: a.Cached + b.Cached, Errors: a.Errors + b.Errors, Bytes: a.Bytes + b.Bytes,
		P99: max(a.P99, b.P99), Max: max(a.Max, b.Max),
	}
	if m.Requests > 0 {
		m.P50 = time.Duration((float64(a.P50)*float64(a.Requests) + float64(b.P50)*float64(b.Requests)) / float64(m.Requests))
	}
	return m
}
