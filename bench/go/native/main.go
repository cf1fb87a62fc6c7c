// Prints what client_golang's native histograms make of observations, for tests/bench/test_native_reference.py.
//
//	bench-go-native indexes GROWTH < DOUBLES > INDEXES
//	bench-go-native steps < CASES > STATES
//
// `indexes` reads doubles and writes the index of the bucket of each as an int32, both as the machine stores them.
// `steps` reads a case a line as JSON, and writes a line for each: a list with the state after each of its
// observations. Numbers that must not change by a digit are in hexadecimal, as Go and Python both write and read them.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

type testCase struct {
	Growth           float64   `json:"growth"`
	MaxBuckets       uint32    `json:"max_buckets"`
	MinResetSeconds  float64   `json:"min_reset_seconds"`
	ZeroThreshold    string    `json:"zero_threshold"`
	MaxZeroThreshold string    `json:"max_zero_threshold"`
	Bounds           []float64 `json:"bounds"`
	Values           []string  `json:"values"`
}

type buckets struct {
	Spans  [][2]int64 `json:"spans"`
	Deltas []int64    `json:"deltas"`
}

type state struct {
	Count         uint64      `json:"count"`
	Sum           string      `json:"sum"`
	Classic       [][2]string `json:"classic"`
	Schema        int32       `json:"schema"`
	ZeroThreshold string      `json:"zero_threshold"`
	ZeroCount     uint64      `json:"zero_count"`
	Positive      buckets     `json:"positive"`
	Negative      buckets     `json:"negative"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func parsed(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	check(err)
	return value
}

func hexadecimal(value float64) string {
	return strconv.FormatFloat(value, 'x', -1, 64)
}

func written(histogram prometheus.Histogram) *dto.Histogram {
	var metric dto.Metric
	check(histogram.Write(&metric))
	return metric.Histogram
}

func indexes(growth float64, in io.Reader, out io.Writer) {
	value := make([]byte, 8)
	index := make([]byte, 4)
	for {
		_, err := io.ReadFull(in, value)
		if err == io.EOF {
			return
		}
		check(err)
		// A histogram of its own, whose only bucket is that of the value.
		histogram := prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "one", NativeHistogramBucketFactor: growth,
			NativeHistogramZeroThreshold: prometheus.NativeHistogramZeroThresholdZero,
		})
		histogram.Observe(math.Float64frombits(binary.LittleEndian.Uint64(value)))
		native := written(histogram)
		spans := append(native.PositiveSpan, native.NegativeSpan...)
		if len(spans) != 1 || spans[0].GetLength() != 1 {
			check(fmt.Errorf("one observation made the spans %v", spans))
		}
		binary.LittleEndian.PutUint32(index, uint32(spans[0].GetOffset()))
		_, err = out.Write(index)
		check(err)
	}
}

func sparse(spans []*dto.BucketSpan, deltas []int64) buckets {
	all := buckets{Spans: [][2]int64{}, Deltas: append([]int64{}, deltas...)}
	for _, span := range spans {
		all.Spans = append(all.Spans, [2]int64{int64(span.GetOffset()), int64(span.GetLength())})
	}
	return all
}

func states(one testCase) []state {
	threshold := parsed(one.ZeroThreshold)
	if threshold == 0 {
		threshold = prometheus.NativeHistogramZeroThresholdZero
	}
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "steps", Buckets: one.Bounds,
		NativeHistogramBucketFactor:     one.Growth,
		NativeHistogramMaxBucketNumber:  one.MaxBuckets,
		NativeHistogramMinResetDuration: time.Duration(one.MinResetSeconds * 1e9),
		NativeHistogramZeroThreshold:    threshold,
		NativeHistogramMaxZeroThreshold: parsed(one.MaxZeroThreshold),
	})
	all := []state{}
	for _, value := range one.Values {
		histogram.Observe(parsed(value))
		now := written(histogram)
		classic := [][2]string{}
		for _, bucket := range now.Bucket {
			count := strconv.FormatUint(bucket.GetCumulativeCount(), 10)
			classic = append(classic, [2]string{hexadecimal(bucket.GetUpperBound()), count})
		}
		all = append(all, state{
			Count: now.GetSampleCount(), Sum: hexadecimal(now.GetSampleSum()), Classic: classic,
			Schema: now.GetSchema(), ZeroThreshold: hexadecimal(now.GetZeroThreshold()), ZeroCount: now.GetZeroCount(),
			Positive: sparse(now.PositiveSpan, now.PositiveDelta),
			Negative: sparse(now.NegativeSpan, now.NegativeDelta),
		})
	}
	return all
}

func main() {
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriterSize(os.Stdout, 1<<20)
	switch {
	case len(os.Args) == 3 && os.Args[1] == "indexes":
		indexes(parsed(os.Args[2]), in, out)
	case len(os.Args) == 2 && os.Args[1] == "steps":
		cases := json.NewDecoder(in)
		answers := json.NewEncoder(out)
		for {
			var one testCase
			err := cases.Decode(&one)
			if err == io.EOF {
				break
			}
			check(err)
			check(answers.Encode(states(one)))
		}
	default:
		check(fmt.Errorf("usage: bench-go-native indexes GROWTH | bench-go-native steps"))
	}
	check(out.Flush())
}
