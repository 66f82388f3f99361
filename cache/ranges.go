package cache

import (
	"slices"
	"strings"
)

const (
	// maxOffset is where byte positions saturate. No representation is that long.
	maxOffset = 1 << 59
	// maxRanges is how many ranges of one request are honoured.
	maxRanges = 8
)

type rangeResult uint8

const (
	rangeIgnored rangeResult = iota // unknown unit, bad syntax, too many or disorderly
	rangeSatisfiable
	rangeUnsatisfiable
)

// parseRange reads a Range field (RFC 9110 §14.1.2, §14.2) for a representation
// of total bytes. Ranges that start behind the end are left out; the spans are
// ascending and disjoint.
func parseRange(s string, total int64) ([]Span, rangeResult) {
	unit, set, ok := strings.Cut(trimOWS(s), "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return nil, rangeIgnored
	}
	var spans []Span
	present, end := false, int64(0)
	for item := range strings.SplitSeq(set, ",") {
		if item = trimOWS(item); item == "" {
			continue
		}
		present = true
		span, ok := parseRangeSpec(item, total)
		if !ok {
			return nil, rangeIgnored
		}
		if span.Len == 0 {
			continue
		}
		if span.Off < end || len(spans) == maxRanges {
			return nil, rangeIgnored
		}
		spans = append(spans, span)
		end = span.End()
	}
	switch {
	case !present:
		return nil, rangeIgnored
	case spans != nil:
		return spans, rangeSatisfiable
	}
	return nil, rangeUnsatisfiable
}

// parseRangeSpec reads one of first-last, first-, -suffix. A length of 0: not
// satisfiable. False: bad syntax.
func parseRangeSpec(s string, total int64) (Span, bool) {
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return Span{}, false
	}
	from, to = trimOWS(from), trimOWS(to)
	if from == "" {
		n, ok := digits(to, maxOffset)
		if n > 0 && total == 0 {
			// Satisfiable by the letter, but no Content-Range can say so.
			return Span{}, false
		}
		n = min(n, total)
		return Span{Off: total - n, Len: n}, ok
	}
	first, ok := digits(from, maxOffset)
	if !ok {
		return Span{}, false
	}
	last := int64(maxOffset)
	if to != "" {
		if last, ok = digits(to, maxOffset); !ok || last < first {
			return Span{}, false
		}
	}
	if first >= total {
		return Span{}, true
	}
	return Span{Off: first, Len: min(last, total-1) - first + 1}, true
}

// ParseContentRange reads the Content-Range of a 206 (RFC 9110 §14.4). False:
// another unit, an invalid value, or a complete length that is not known.
func ParseContentRange(s string) (span Span, total int64, ok bool) {
	unit, rest, ok := strings.Cut(trimOWS(s), " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return Span{}, 0, false
	}
	positions, complete, ok := strings.Cut(trimOWS(rest), "/")
	if !ok {
		return Span{}, 0, false
	}
	from, to, ok := strings.Cut(positions, "-")
	if !ok {
		return Span{}, 0, false
	}
	first, okFirst := digits(from, maxOffset)
	last, okLast := digits(to, maxOffset)
	total, okTotal := digits(complete, maxOffset)
	if !okFirst || !okLast || !okTotal || last < first || total <= last {
		return Span{}, 0, false
	}
	return Span{Off: first, Len: last - first + 1}, total, true
}

// joinSpans merges spans that touch or overlap into ascending, disjoint ones.
func joinSpans(spans []Span) []Span {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b Span) int { return int(min(max(a.Off-b.Off, -1), 1)) })
	joined := spans[:0]
	for _, s := range spans {
		if n := len(joined); n > 0 && s.Off <= joined[n-1].End() {
			joined[n-1].Len = max(joined[n-1].End(), s.End()) - joined[n-1].Off
		} else if s.Len > 0 {
			joined = append(joined, s)
		}
	}
	return joined
}
