// Measures client_golang as bench/worker.py measures the Python libraries; prints the figures as JSON.
//
//	bench-go TASK PLAN
//	bench-go serve COUNT
//
// Tasks, plan and keys are those of bench/worker.py, whose comments hold here as well. A decorated function and an
// import have no counterpart in Go, nor has an interpreter.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

type plan struct {
	Windows        int     `json:"windows"`
	WindowSeconds  float64 `json:"window_seconds"`
	ScrapeSeconds  float64 `json:"scrape_seconds"`
	BiggestSeconds float64 `json:"biggest_seconds"`
	Largest        int     `json:"largest"`
	Footprints     int     `json:"footprints"`
}

const (
	scraped   = 10_000
	threads   = 8
	newSeries = 2_000

	histogramsScraped = 1_000
)

var scales = map[string]int{"scale_100": 100, "scale_10k": scraped, "scale_100k": 100_000, "scale_1m": 1_000_000}

var bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func shortestCall(work func(calls int), p plan) float64 {
	timed := func(calls int) float64 {
		start := time.Now()
		work(calls)
		return time.Since(start).Seconds()
	}
	calls := 100
	for timed(calls) < p.WindowSeconds {
		calls *= 2
	}
	best := math.Inf(1)
	for i := 0; i < p.Windows; i++ {
		best = math.Min(best, timed(calls))
	}
	return best / float64(calls) * 1e9
}

func shortestRun(action func(), budgetSeconds float64, before func()) float64 {
	best := math.Inf(1)
	begun := time.Now()
	for {
		before()
		start := time.Now()
		action()
		best = math.Min(best, time.Since(start).Seconds())
		if time.Since(begun).Seconds() > budgetSeconds {
			return best
		}
	}
}

// series are many series of one metric, alone in a registry.
type series struct {
	registry *prometheus.Registry
	write    func(count int)
	writes   int
	amount   float64
}

func newCounters(amount float64) *series {
	registry := prometheus.NewRegistry()
	vector := prometheus.NewCounterVec(
		prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests."}, []string{"method", "path"})
	registry.MustRegister(vector)
	s := &series{registry: registry, amount: amount}
	s.write = func(count int) {
		s.writes++
		for n := 0; n < count; n++ {
			vector.WithLabelValues("GET", "/x/"+strconv.Itoa(n)).Add(amount)
		}
	}
	return s
}

func newHistograms() *series {
	return newDistributions(prometheus.HistogramOpts{Name: "http_request_seconds", Help: "Seconds.", Buckets: bounds})
}

func newNatives() *series {
	return newDistributions(native("http_request_seconds"))
}

// native has the defaults of pytheus.
func native(name string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: "Seconds.", NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		NativeHistogramMinResetDuration: time.Hour,
	}
}

func newDistributions(options prometheus.HistogramOpts) *series {
	registry := prometheus.NewRegistry()
	vector := prometheus.NewHistogramVec(options, []string{"method", "path"})
	registry.MustRegister(vector)
	observed := append(append([]float64{}, bounds...), 20)
	return &series{registry: registry, write: func(count int) {
		for n := 0; n < count; n++ {
			one := vector.WithLabelValues("GET", "/x/"+strconv.Itoa(n))
			for _, value := range observed {
				one.Observe(value)
			}
		}
	}}
}

func (s *series) render() []byte {
	families, err := s.registry.Gather()
	check(err)
	var body bytes.Buffer
	for _, family := range families {
		_, err := expfmt.MetricFamilyToText(&body, family)
		check(err)
	}
	return body.Bytes()
}

// encode renders in the format that an Accept header asks for.
func (s *series) encode(accept string) []byte {
	families, err := s.registry.Gather()
	check(err)
	var body bytes.Buffer
	format := expfmt.NegotiateIncludingOpenMetrics(http.Header{"Accept": []string{accept}})
	encoder := expfmt.NewEncoder(&body, format)
	for _, family := range families {
		check(encoder.Encode(family))
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		check(closer.Close())
	}
	return body.Bytes()
}

var formats = map[string]string{
	"openmetrics": "application/openmetrics-text;version=1.0.0",
	"protobuf":    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
}

// inFormats adds the rows of scrapes in the other formats; key is the beginning of those in text.
func inFormats(figures map[string]float64, key string, count int, fresh func() *series, p plan) {
	for name, accept := range formats {
		s := fresh()
		s.write(count)
		if paths := bytes.Count(s.encode(accept), []byte("/x/")); paths < count {
			check(fmt.Errorf("expected %d series in %s but got %d", count, name, paths))
		}
		encode := func() { s.encode(accept) }
		figures[key+"_unchanged_"+name] = shortestRun(encode, p.ScrapeSeconds, func() {}) * 1e3
		figures[key+"_changed_"+name] = shortestRun(encode, p.ScrapeSeconds, func() { s.write(count) }) * 1e3
	}
}

// served scrapes over a socket, with a connection for each scrape.
func (s *series) served(budgetSeconds float64, before func()) float64 {
	server := httptest.NewServer(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	defer server.Close()
	return shortestRun(func() {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		check(err)
		defer connection.Close()
		_, err = connection.Write([]byte(
			"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"))
		check(err)
		_, err = io.Copy(io.Discard, connection)
		check(err)
	}, budgetSeconds, before)
}

// compressed answers a request over HTTP that takes gzip.
func (s *series) compressed() func() {
	handler := promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})
	return func() {
		request := httptest.NewRequest("GET", "/", nil)
		request.Header.Set("Accept-Encoding", "gzip")
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}
}

func (s *series) check(count int) {
	lines := bytes.Split(bytes.TrimSpace(s.render()), []byte("\n"))[2:]
	words := bytes.Fields(lines[len(lines)-1])
	value, err := strconv.ParseFloat(string(words[len(words)-1]), 64)
	check(err)
	wanted := float64(s.writes) * s.amount
	if len(lines) != count || math.Abs(value-wanted) > wanted*1e-9 {
		check(fmt.Errorf("expected %d series at %v but got %d, the last at %v", count, wanted, len(lines), value))
	}
}

func changedScrape(count int, amount, budgetSeconds float64) float64 {
	s := newCounters(amount)
	s.write(count)
	s.render()
	best := shortestRun(func() { s.render() }, budgetSeconds, func() { s.write(count) })
	s.check(count)
	return best
}

func firstScrape(fresh func() *series, count int, budgetSeconds float64) float64 {
	var s *series
	return shortestRun(func() { s.render() }, budgetSeconds, func() {
		s = fresh()
		s.write(count)
	})
}

func repeated(call func()) func(int) {
	return func(calls int) {
		for i := 0; i < calls; i++ {
			call()
		}
	}
}

func calls(p plan) map[string]float64 {
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "plain_total", Help: "Plain."})
	labelled := prometheus.NewCounterVec(
		prometheus.CounterOpts{Name: "labelled_total", Help: "Labelled."}, []string{"method", "code"})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "level", Help: "Level."})
	histogram := prometheus.NewHistogram(
		prometheus.HistogramOpts{Name: "seconds", Help: "Seconds.", Buckets: bounds})
	nativeHistogram := prometheus.NewHistogram(native("native_seconds"))
	prometheus.NewRegistry().MustRegister(counter, labelled, gauge, histogram, nativeHistogram)

	figures := map[string]float64{}
	figures["empty"] = shortestCall(func(calls int) {
		for i := 0; i < calls; i++ {
			// Go's compiler keeps an empty loop.
		}
	}, p)
	// The loops stand here one by one, so that the compiler can do with each call what it would in an application.
	figures["inc"] = shortestCall(func(calls int) {
		for i := 0; i < calls; i++ {
			counter.Inc()
		}
	}, p)
	figures["inc_int"] = shortestCall(func(calls int) {
		for i := 0; i < calls; i++ {
			counter.Add(2)
		}
	}, p)
	figures["labels_by_position"] = shortestCall(func(calls int) {
		for i := 0; i < calls; i++ {
			labelled.WithLabelValues("GET", "200").Inc()
		}
	}, p)
	figures["labels_by_keyword"] = shortestCall(func(calls int) {
		for i := 0; i < calls; i++ {
			labelled.With(prometheus.Labels{"method": "GET", "code": "200"}).Inc()
		}
	}, p)
	figures["gauge_set"] = shortestCall(func(calls int) {
		for i := 0; i < calls; i++ {
			gauge.Set(1.5)
		}
	}, p)
	figures["observe"] = shortestCall(func(calls int) {
		for i := 0; i < calls; i++ {
			histogram.Observe(0.3)
		}
	}, p)
	figures["observe_native"] = shortestCall(func(calls int) {
		for i := 0; i < calls; i++ {
			nativeHistogram.Observe(0.3)
		}
	}, p)
	figures["time_block"] = shortestCall(func(calls int) {
		for i := 0; i < calls; i++ {
			prometheus.NewTimer(histogram).ObserveDuration()
		}
	}, p)
	figures["first_write"] = firstWrite(p, func() func(path string) {
		vector := prometheus.NewCounterVec(
			prometheus.CounterOpts{Name: "new_total", Help: "New."}, []string{"method", "path"})
		prometheus.NewRegistry().MustRegister(vector)
		return func(path string) { vector.WithLabelValues("GET", path).Inc() }
	})
	figures["first_observation"] = firstWrite(p, func() func(path string) {
		vector := prometheus.NewHistogramVec(
			prometheus.HistogramOpts{Name: "new_seconds", Help: "New.", Buckets: bounds}, []string{"method", "path"})
		prometheus.NewRegistry().MustRegister(vector)
		return func(path string) { vector.WithLabelValues("GET", path).Observe(0.3) }
	})
	inThreads(figures, p)

	counters := newCounters(1)
	counters.write(scraped)
	counters.render()
	figures["scrape_unchanged"] = shortestRun(func() { counters.render() }, p.ScrapeSeconds, func() {}) * 1e3
	figures["scrape_first"] = firstScrape(func() *series { return newCounters(1) }, scraped, p.ScrapeSeconds) * 1e3
	histograms := newHistograms()
	histograms.write(histogramsScraped)
	figures["histograms_first"] = firstScrape(newHistograms, histogramsScraped, p.ScrapeSeconds) * 1e3
	figures["histograms_unchanged"] = shortestRun(func() { histograms.render() }, p.ScrapeSeconds, func() {}) * 1e3
	figures["histograms_changed"] = shortestRun(
		func() { histograms.render() }, p.ScrapeSeconds, func() { histograms.write(histogramsScraped) }) * 1e3
	figures["scrape_gzip"] = shortestRun(
		counters.compressed(), p.ScrapeSeconds, func() { counters.write(scraped) }) * 1e3
	figures["served_gzip"] = counters.served(p.ScrapeSeconds, func() { counters.write(scraped) }) * 1e3
	inFormats(figures, "scrape", scraped, func() *series { return newCounters(1) }, p)
	inFormats(figures, "histograms", histogramsScraped, newHistograms, p)
	figures["scrape_changed"] = changedScrape(scraped, 1, p.ScrapeSeconds) * 1e3
	figures["scrape_fractional"] = changedScrape(scraped, 0.1, p.ScrapeSeconds) * 1e3
	for row, count := range scales {
		if count < scraped {
			figures[row] = changedScrape(count, 1, p.ScrapeSeconds/5) / float64(count) * 1e9
		} else if count == scraped {
			figures[row] = figures["scrape_changed"] * 1e6 / float64(count)
		}
	}
	return figures
}

func firstWrite(p plan, fresh func() func(path string)) float64 {
	windows := p.Windows / 5
	if windows < 3 {
		windows = 3
	}
	best := math.Inf(1)
	for i := 0; i < windows; i++ {
		paths := make([]string, newSeries)
		for n := range paths {
			paths[n] = "/x/" + strconv.Itoa(n)
		}
		write := fresh()
		start := time.Now()
		for _, path := range paths {
			write(path)
		}
		best = math.Min(best, time.Since(start).Seconds())
	}
	return best / newSeries * 1e9
}

func inThreads(figures map[string]float64, p plan) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "shared_total", Help: "Shared."})
	registry.MustRegister(counter)
	work := repeated(counter.Inc)
	done := 1000
	start := time.Now()
	work(done)
	each := int(float64(done)*p.ScrapeSeconds/threads/time.Since(start).Seconds()) + 1
	best := math.Inf(1)
	for i := 0; i < 3; i++ {
		var ready, ended sync.WaitGroup
		begin := make(chan struct{})
		ready.Add(threads)
		ended.Add(threads)
		for t := 0; t < threads; t++ {
			go func() {
				ready.Done()
				<-begin
				work(each)
				ended.Done()
			}()
		}
		ready.Wait()
		start := time.Now()
		close(begin)
		ended.Wait()
		best = math.Min(best, time.Since(start).Seconds()/float64(threads*each))
		done += threads * each
	}
	families, err := registry.Gather()
	check(err)
	figures["threads"] = best * 1e9
	figures["added"] = float64(done)
	figures["lost"] = float64(done) - families[0].Metric[0].Counter.GetValue()
}

// longestPause is that of a goroutine which would never pause by itself, in seconds, while action runs.
func longestPause(action func()) float64 {
	var longest, readings int64
	var ended int32
	done := make(chan struct{})
	go func() {
		last := time.Now()
		for atomic.LoadInt32(&ended) == 0 {
			now := time.Now()
			if gap := now.Sub(last).Nanoseconds(); gap > atomic.LoadInt64(&longest) {
				atomic.StoreInt64(&longest, gap)
			}
			last = now
			atomic.AddInt64(&readings, 1)
		}
		close(done)
	}()
	for atomic.LoadInt64(&readings) == 0 {
		runtime.Gosched()
	}
	atomic.StoreInt64(&longest, 0)
	action()
	// The pause that the action's end finds the ticker in is only known once that has read the clock again.
	for seen := atomic.LoadInt64(&readings); atomic.LoadInt64(&readings) == seen; {
		runtime.Gosched()
	}
	pause := float64(atomic.LoadInt64(&longest)) / 1e9
	atomic.StoreInt32(&ended, 1)
	<-done
	return pause
}

func biggest(p plan) map[string]float64 {
	figures := map[string]float64{}
	for row, count := range scales {
		if count <= scraped || count > p.Largest {
			continue
		}
		s := newCounters(1)
		s.write(count)
		s.check(count)
		seconds := shortestRun(func() { s.render() }, p.BiggestSeconds, func() { s.write(count) })
		figures[row] = seconds / float64(count) * 1e9
		if count == p.Largest {
			pause, alone := math.Inf(1), math.Inf(1)
			idle := time.Duration(math.Min(seconds, 1) * 1e9)
			for begun := time.Now(); math.IsInf(pause, 1) || time.Since(begun).Seconds() < p.BiggestSeconds; {
				s.write(count)
				pause = math.Min(pause, longestPause(func() { s.render() }))
				alone = math.Min(alone, longestPause(func() { time.Sleep(idle) }))
			}
			figures["pause"] = pause * 1e3
			figures["pause_of_nothing"] = alone * 1e3
		}
	}
	return figures
}

func heapBytes() float64 {
	// Twice: what has a finalizer, or lies in a pool, is freed by the second collection.
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

func footprints(p plan) map[string]float64 {
	figures := map[string]float64{}
	for row, make := range map[string]func() *series{
		"counter":   func() *series { return newCounters(1) },
		"histogram": newHistograms,
		"native":    newNatives,
	} {
		before := heapBytes()
		s := make()
		s.write(p.Footprints)
		figures[row+"_fresh"] = (heapBytes() - before) / float64(p.Footprints)
		s.encode(formats["protobuf"])
		figures[row+"_scraped"] = (heapBytes() - before) / float64(p.Footprints)
		runtime.KeepAlive(s)
	}
	return figures
}

// serveSeries is a server of `count` series, as bench/endpoint.py starts one of each library.
func serveSeries(count int) {
	s := newCounters(1)
	s.write(count)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() { check(http.Serve(listener, promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))) }()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		s.write(count)
		fmt.Println()
	}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		count, err := strconv.Atoi(os.Args[2])
		check(err)
		serveSeries(count)
		return
	}
	tasks := map[string]func(plan) map[string]float64{"calls": calls, "biggest": biggest, "footprints": footprints}
	if len(os.Args) != 3 || tasks[os.Args[1]] == nil {
		check(fmt.Errorf("usage: bench-go calls|biggest|footprints PLAN"))
	}
	var p plan
	check(json.Unmarshal([]byte(os.Args[2]), &p))
	check(json.NewEncoder(os.Stdout).Encode(tasks[os.Args[1]](p)))
}
