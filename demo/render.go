package demo

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// style is how a piece of text looks: the parameters of an SGR sequence.
type style string

const (
	plain  style = ""
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// span is text of one style; a line is made of them.
type span struct {
	style style
	text  string
}

type line []span

// Render draws the state into at most height lines of at most width columns.
// Without color no line has an escape sequence. When there is not room for
// everything, the nodes and the keys stay longest.
func Render(s *State, width, height int, color bool) []string {
	if width <= 0 || height <= 0 {
		return nil
	}
	var out []string
	for _, l := range layout(s, width, height) {
		out = append(out, l.cut(width).draw(color))
	}
	return out
}

// layout chooses the parts that fit. Events get what is left.
func layout(s *State, width, height int) []line {
	head := []line{title(s, width)}
	nodes := table(s)
	load := traffics(s, width)
	try := hints(s)
	foot := []line{keys(s)}

	room := height - len(nodes) - len(foot)
	fits := func(part []line, spare int) bool { return room >= len(part)+spare }
	take := func(part []line, spare int) []line {
		if !fits(part, spare) {
			return nil
		}
		room -= len(part)
		return part
	}
	head = take(head, 0)
	load = take(load, 0)
	try = take(append([]line{nil}, try...), 4) // events say more than hints
	gap := take([]line{nil}, 4)
	events := latest(s, room)

	var all []line
	for _, part := range [][]line{head, gap, nodes, load, events, try} {
		all = append(all, part...)
	}
	for len(all) < height-len(foot) {
		all = append(all, nil)
	}
	all = all[:max(0, min(len(all), height-len(foot)))]
	return append(all, foot...)
}

func title(s *State, width int) line {
	left := fmt.Sprintf("cachenode demo  %d nodes, one address for clients: %s", len(s.Nodes), s.Front)
	right := s.Now.Sub(s.Began).Truncate(time.Second).String()
	gap := width - utf8.RuneCountInString(left) - len(right)
	if gap < 1 {
		return line{{bold, left}}
	}
	return line{{bold, left}, {faint, strings.Repeat(" ", gap) + right}}
}

const row = "%s %-4s  %-16s  %-8s  %-3s  %5s  %5s  %5s  %7s  %s"

// table has a row for each node.
func table(s *State) []line {
	rows := []line{{{faint, fmt.Sprintf(row, " ", "NODE", "ADDRESS", "STATE", "VIP", "CONNS", "REQ/S", "HIT%", "OBJECTS", "PROCESS")}}}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		mark := " "
		if i == s.Chosen {
			mark = ">"
		}
		conns, reqs, hits, objects := "-", "-", "-", "-"
		if n.Answers {
			conns, reqs = fmt.Sprint(n.Connections), fmt.Sprintf("%.0f", n.Rate)
			hits, objects = fmt.Sprintf("%.1f", 100*n.HitRatio), fmt.Sprint(n.Objects)
		}
		text := fmt.Sprintf(row, mark, n.Name, n.Address, orDash(n.Member), vip(s, n), conns, reqs, hits, objects, process(n))
		rows = append(rows, line{{look(n), text}})
	}
	return rows
}

func look(n *Node) style {
	switch {
	case n.PID == 0 || n.Member == "failed":
		return red
	case n.Member == "draining" || !n.Answers:
		return yellow
	}
	return green
}

func vip(s *State, n *Node) string {
	if s.Holder == n.Name {
		return "yes"
	}
	return "-"
}

func process(n *Node) string {
	if n.PID != 0 {
		return fmt.Sprint(n.PID)
	}
	return orDash(n.Ended)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// traffics is what the client of the demo sees.
func traffics(s *State, width int) []line {
	l := &s.Load
	if !l.On && l.Total == (Tally{}) {
		return []line{nil, {{plain, "traffic  off; l switches it on"}}}
	}
	failed := span{plain, fmt.Sprintf("%d failed of %d", l.Total.Failed, l.Total.Failed+l.Total.good())}
	if l.recent(10).Failed > 0 {
		failed.style = red
	}
	return []line{
		nil,
		{{plain, "traffic  " + shares(l) + "; "}, failed},
		history(l, min(keptSeconds, width-9)),
	}
}

// shares says where the answers of the last seconds came from.
func shares(l *Load) string {
	const seconds = 10
	if !l.On {
		return "off"
	}
	t, n := l.recent(seconds), min(seconds, len(l.Seconds))
	good := t.good()
	if good == 0 {
		return "no answers now"
	}
	part := func(f Source) int64 { return (t.From[f]*100 + good/2) / good }
	return fmt.Sprintf("%d/s: %d%% hits, %d%% from siblings, %d%% from origin",
		good/int64(n), part(FromCache), part(FromSibling), part(FromOrigin))
}

// history has a column for each of the last seconds, red where something failed.
func history(l *Load, columns int) line {
	out := line{{plain, strings.Repeat(" ", 9)}}
	heights := []rune("▁▂▃▄▅▆▇█")
	for _, t := range l.Seconds[max(0, len(l.Seconds)-max(0, columns)):] {
		high := min(len(heights)-1, int(t.good())*len(heights)/(perSecond+1))
		look := faint
		if t.Failed > 0 {
			look = red
		}
		out = append(out, span{look, string(heights[high])})
	}
	return out
}

// latest are the last events that fit, under an empty line.
func latest(s *State, room int) []line {
	if room < 2 || len(s.Events) == 0 {
		return nil
	}
	all := []line{nil}
	for _, e := range s.Events[max(0, len(s.Events)-room+1):] {
		all = append(all, line{{faint, e.At.Format(time.TimeOnly) + "  "}, {plain, e.Text}})
	}
	return all
}

// hints say what to try in another terminal.
func hints(s *State) []line {
	all := []line{}
	for i, t := range s.try() {
		head := "    "
		if i == 0 {
			head = "try "
		}
		all = append(all, line{{faint, head}, {plain, t}})
	}
	return all
}

// try are commands for another terminal.
func (s *State) try() []string {
	kill := "kill -9 PID"
	if n := s.node(s.Holder); n != nil && n.PID != 0 {
		kill = fmt.Sprintf("kill -9 %d", n.PID)
	}
	return []string{
		fmt.Sprintf("curl -x http://%s http://example.com/", s.Front),
		fmt.Sprintf("curl -ix %s '%s'", s.Front, s.Page), // twice: then it is a hit
		fmt.Sprintf("%s     cachenode members --data %s", kill, s.Data),
	}
}

func keys(s *State) line {
	l := line{}
	drain := "drain"
	if n := &s.Nodes[s.Chosen]; n.Member == "draining" {
		drain = "undrain"
	}
	for _, k := range [][2]string{
		{fmt.Sprintf("1-%d", len(s.Nodes)), "choose"}, {"k", "kill"}, {"d", drain}, {"r", "restart"}, {"l", "load"}, {"q", "quit"},
	} {
		l = append(l, span{bold, k[0]}, span{plain, " " + k[1] + "  "})
	}
	return l
}

// cut leaves what fits into a number of columns; every character here takes one.
func (l line) cut(width int) line {
	for i, s := range l {
		n := utf8.RuneCountInString(s.text)
		if n <= width {
			width -= n
			continue
		}
		rest := append(line{}, l[:i]...)
		if width > 0 {
			rest = append(rest, span{s.style, string([]rune(s.text)[:width-1]) + "…"})
		} else if i > 0 { // the line before was full to the brim
			last := &rest[i-1]
			r := []rune(last.text)
			last.text = string(r[:len(r)-1]) + "…"
		}
		return rest
	}
	return l
}

func (l line) draw(color bool) string {
	var b strings.Builder
	for _, s := range l {
		if !color || s.style == plain {
			b.WriteString(s.text)
			continue
		}
		fmt.Fprintf(&b, "\x1b[%sm%s\x1b[0m", string(s.style), s.text)
	}
	return strings.TrimRight(b.String(), " ")
}
