package admin

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"github.com/cachenode/cachenode/internal/metrics"
)

// serviceTimes are the distributions in squid's order and words.
var serviceTimes = [...]struct {
	name string
	of   metrics.ServiceTime
}{
	{"HTTP Requests (All):", metrics.AllRequests},
	{"Cache Misses:", metrics.CacheMisses},
	{"Cache Hits:", metrics.CacheHits},
	{"Near Hits:", metrics.NearHits},
	{"Not-Modified Replies:", metrics.NotModified},
	{"DNS Lookups:", metrics.DNSLookups},
	{"ICP Queries:", metrics.ICPQueries},
}

// infoView is what the sections of the page info are written from.
type infoView struct {
	now            time.Time
	five, hour, up metrics.Window
	files          fileUse
	mem            runtime.MemStats
}

func (s *Server) writeInfo(b *bytes.Buffer, now time.Time) {
	m := s.deps.Metrics
	v := &infoView{now: now, five: m.Window(5, now), hour: m.Window(60, now), up: m.Total(now), files: readFileUse()}
	runtime.ReadMemStats(&v.mem)
	st := s.deps.Node.Status()
	fmt.Fprintf(b, "Squid Object Cache: Version cachenode/%s\n", st.Version)
	fmt.Fprintf(b, "Build Info: %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(b, "Service Name: %s\n", st.Name)
	fmt.Fprintf(b, "Start Time:\t%s\n", m.Start().UTC().Format(http.TimeFormat))
	fmt.Fprintf(b, "Current Time:\t%s\n", now.UTC().Format(http.TimeFormat))
	s.writeConnectionInfo(b, v)
	writeCacheInfo(b, v)
	b.WriteString("Median Service Times (seconds)  5 min    60 min:\n")
	for _, t := range serviceTimes {
		fmt.Fprintf(b, "\t%-22s%8.5f %8.5f\n", t.name, v.five.Quantile(t.of, 0.5).Seconds(), v.hour.Quantile(t.of, 0.5).Seconds())
	}
	writeResourceInfo(b, v)
	writeFileInfo(b, v.files)
	c := v.up.End.Cache
	b.WriteString("Internal Data Structures:\n")
	fmt.Fprintf(b, "\t%6d StoreEntries\n", c.Objects)
	fmt.Fprintf(b, "\t%6d StoreEntries with MemObjects\n", c.MemObjects)
	fmt.Fprintf(b, "\t%6d Hot Object Cache Items\n", c.MemObjects)
	fmt.Fprintf(b, "\t%6d on-disk objects\n", onDisk(c))
}

func (s *Server) writeConnectionInfo(b *bytes.Buffer, v *infoView) {
	end := v.up.End
	requests := end.Counters[metrics.Requests]
	perMinute := v.up.PerSecond(60 * float64(requests))
	icp := end.ICP.PktsRecv + end.ICP.PktsSent
	b.WriteString("Connection information for squid:\n")
	fmt.Fprintf(b, "\tNumber of clients accessing cache:\t%d\n", s.deps.Metrics.ClientCount())
	fmt.Fprintf(b, "\tNumber of HTTP requests received:\t%d\n", requests)
	fmt.Fprintf(b, "\tNumber of ICP messages received:\t%d\n", end.ICP.PktsRecv)
	fmt.Fprintf(b, "\tNumber of ICP messages sent:\t%d\n", end.ICP.PktsSent)
	b.WriteString("\tNumber of queued ICP replies:\t0\n")
	b.WriteString("\tNumber of HTCP messages received:\t0\n")
	b.WriteString("\tNumber of HTCP messages sent:\t0\n")
	fmt.Fprintf(b, "\tRequest failure ratio:\t%5.2f\n", failureRatio(v.five))
	fmt.Fprintf(b, "\tAverage HTTP requests per minute since start:\t%.1f\n", perMinute)
	fmt.Fprintf(b, "\tAverage ICP messages per minute since start:\t%.1f\n", v.up.PerSecond(60*float64(icp)))
	b.WriteString("\tSelect loop called: 0 times, 0.000 ms avg\n")
}

// failureRatio is how many requests failed for each that did not.
func failureRatio(w metrics.Window) float64 {
	failed := float64(w.Delta(metrics.Errors))
	if good := float64(w.Delta(metrics.Requests)) - failed; good > 0 {
		return failed / good
	}
	return 0
}

func writeCacheInfo(b *bytes.Buffer, v *infoView) {
	both := func(name string, part, whole metrics.Counter) {
		fmt.Fprintf(b, "\t%s:\t5min: %.1f%%, 60min: %.1f%%\n", name, v.five.Percent(part, whole), v.hour.Percent(part, whole))
	}
	b.WriteString("Cache information for squid:\n")
	both("Hits as % of all requests", metrics.Hits, metrics.Requests)
	both("Hits as % of bytes sent", metrics.HitBytesOut, metrics.BytesOut)
	both("Memory hits as % of hit requests", metrics.MemHits, metrics.Hits)
	both("Disk hits as % of hit requests", metrics.DiskHits, metrics.Hits)
	c := v.up.End.Cache
	writeTierInfo(b, "Swap", c.Bytes, c.Capacity)
	writeTierInfo(b, "Mem", c.MemBytes, c.MemCapacity)
	fmt.Fprintf(b, "\tMean Object Size:\t%.2f KB\n", meanKB(c))
	b.WriteString("\tRequests given to unlinkd:\t0\n")
}

func writeTierInfo(b *bytes.Buffer, name string, used, capacity int64) {
	percent := percentOf(float64(used), float64(capacity))
	fmt.Fprintf(b, "\tStorage %s size:\t%d KB\n", name, used>>10)
	fmt.Fprintf(b, "\tStorage %s capacity:\t%4.1f%% used, %4.1f%% free\n", name, percent, 100-percent)
}

// meanKB is the mean size of the stored objects.
func meanKB(c metrics.CacheStats) float64 {
	bytes := c.Bytes
	if c.Capacity == 0 {
		bytes = c.MemBytes
	}
	if c.Objects == 0 {
		return 0
	}
	return float64(bytes) / 1024 / float64(c.Objects)
}

// onDisk is the number of objects in the disk tier.
func onDisk(c metrics.CacheStats) int64 {
	if c.Capacity == 0 {
		return 0
	}
	return c.Objects
}

func writeResourceInfo(b *bytes.Buffer, v *infoView) {
	u := v.up.End.Usage
	b.WriteString("Resource usage for squid:\n")
	fmt.Fprintf(b, "\tUP Time:\t%.3f seconds\n", v.up.Seconds())
	fmt.Fprintf(b, "\tCPU Time:\t%.3f seconds\n", u.CPU.Seconds())
	fmt.Fprintf(b, "\tCPU Usage:\t%.2f%%\n", v.up.CPUPercent())
	fmt.Fprintf(b, "\tCPU Usage, 5 minute avg:\t%.2f%%\n", v.five.CPUPercent())
	fmt.Fprintf(b, "\tCPU Usage, 60 minute avg:\t%.2f%%\n", v.hour.CPUPercent())
	fmt.Fprintf(b, "\tMaximum Resident Size: %d KB\n", u.MaxResident>>10)
	fmt.Fprintf(b, "\tPage faults with physical i/o: %d\n", u.MajorFaults)
	b.WriteString("Memory accounted for:\n")
	fmt.Fprintf(b, "\tTotal accounted:       %6d KB\n", v.mem.HeapInuse>>10)
	fmt.Fprintf(b, "\tmemPoolAlloc calls: %9d\n", v.mem.Mallocs)
	fmt.Fprintf(b, "\tmemPoolFree calls:  %9d\n", v.mem.Frees)
}

func writeFileInfo(b *bytes.Buffer, f fileUse) {
	b.WriteString("File descriptor usage for squid:\n")
	fmt.Fprintf(b, "\tMaximum number of file descriptors:   %4d\n", f.limit)
	fmt.Fprintf(b, "\tLargest file desc currently in use:   %4d\n", f.largest)
	fmt.Fprintf(b, "\tNumber of file desc currently in use: %4d\n", f.open)
	b.WriteString("\tFiles queued for open:                   0\n")
	fmt.Fprintf(b, "\tAvailable number of file descriptors: %4d\n", f.limit-f.open)
	b.WriteString("\tReserved number of file descriptors:     0\n")
	b.WriteString("\tStore Disk files open:                   0\n")
}

func (s *Server) writeServiceTimes(b *bytes.Buffer, now time.Time) {
	five, hour := s.deps.Metrics.Window(5, now), s.deps.Metrics.Window(60, now)
	b.WriteString("Service Time Percentiles            5 min    60 min:\n")
	for _, t := range serviceTimes {
		for p := 5; p < 100; p += 5 {
			q := float64(p) / 100
			fmt.Fprintf(b, "\t%-22s%2d%%  %8.5f %8.5f\n", t.name, p, five.Quantile(t.of, q).Seconds(), hour.Quantile(t.of, q).Seconds())
		}
	}
}
