/* The limit: metrics written by hand in C, as far as the bench needs them. bench/environments.py builds it.

   It shows how fast a metric can be that is called from CPython, and is no library: it has no registry, no limit of
   series, no exemplars, no handles and no default labels, and its errors are short. It checks what a call must check:
   negative amounts, NaN, values that are not numbers, wrong labels, arguments that do not exist, an exemplar other
   than None, and a number that is stored elsewhere. Rules:

   - Methods take their arguments as the interpreter has them (METH_FASTCALL).
   - Label values are found by an open hash table over the hashes that the strings keep, without a tuple for the key.
   - A number keeps its line of text, a histogram its label pairs and its sum; the rest is put together at each scrape.
   - No object refers back to the one that has it, so the garbage collector need not know any. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define MOST_BOUNDS 32
#define MOST_LABELS 8
#define NUMBER_BYTES 32 /* more than the longest number takes */

/* What all series of a metric share. */
typedef struct {
    Py_ssize_t users;
    PyObject *labels;
    PyTypeObject *type;
    int bounds;
    double bound[MOST_BOUNDS];
    PyObject *header;                 /* HELP and TYPE */
    PyObject *start;                  /* `name{`, or of a histogram `name_bucket{` */
    PyObject *ends[MOST_BOUNDS + 1];  /* of a histogram's lines, from the labels on: `,le="0.5"} ` */
    PyObject *sum, *count;            /* of its last two lines, up to the labels: `name_sum{` */
} Family;

typedef struct {
    PyObject_VAR_HEAD
    double number; /* of a histogram the sum */
    void *view;    /* where the number is if it is stored elsewhere, which it never is */
    Family *family;
    PyObject *values;
    char *text; /* a number's line, a histogram's label pairs and its sum; NULL before the first scrape */
    double shown;
    int start, length; /* in the text: where the number starts, where it ends */
    int64_t counts[];  /* a histogram's */
} Series;

typedef struct {
    Py_uhash_t hash;
    Series *series;
} Slot;

typedef struct {
    PyObject_HEAD
    Family *family;
    Slot *slots;
    Py_ssize_t mask, used;
    Series **order;
} Metric;

typedef struct {
    PyObject_HEAD
    Series *histogram;
    double start;
} Timer;

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *function;
    Series *histogram;
} Timed;

static PyTypeObject CounterType, GaugeType, HistogramType, TimerType, TimedType;
static PyObject *amount_name, *value_name, *exemplar_name;

static void *fail(PyObject *type, const char *message) {
    PyErr_SetString(type, message);
    return NULL;
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

/* The arguments (value, exemplar=None), by position or keyword; NULL in `value` where it is not given. */
static int arguments(PyObject *const *args, Py_ssize_t count, PyObject *keywords, PyObject *name, PyObject **value) {
    PyObject *exemplar = Py_None;
    *value = count > 0 ? args[0] : NULL;
    if (count == 2) exemplar = args[1];
    int wrong = count > 2;
    for (Py_ssize_t i = 0; keywords && i < PyTuple_GET_SIZE(keywords); i++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, i);
        if (keyword == name && !*value) *value = args[count + i];
        else if (keyword == exemplar_name && count < 2) exemplar = args[count + i];
        else wrong = 1;
    }
    if (wrong || exemplar != Py_None) {
        fail(PyExc_TypeError, "expected a number, and no exemplar");
        return -1;
    }
    return 0;
}

static inline int number_of(PyObject *value, double *number) {
    if (value && PyFloat_CheckExact(value)) {
        *number = PyFloat_AS_DOUBLE(value);
        return 0;
    }
    if (!value || !PyNumber_Check(value)) {
        fail(PyExc_TypeError, "expected a number");
        return -1;
    }
    *number = PyLong_CheckExact(value) ? PyLong_AsDouble(value) : PyFloat_AsDouble(value);
    return *number == -1.0 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *inc(Series *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    double amount = 1.0;
    if (count || keywords) {
        PyObject *value;
        if (arguments(args, count, keywords, amount_name, &value)) return NULL;
        if (value && number_of(value, &amount)) return NULL;
        if (!(amount >= 0.0)) return fail(PyExc_ValueError, "a counter can only grow");
    }
    if (self->view) return fail(PyExc_TypeError, "the number is stored elsewhere");
    self->number += amount;
    Py_RETURN_NONE;
}

static PyObject *set(Series *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    double number;
    PyObject *value;
    if (arguments(args, count, keywords, value_name, &value) || number_of(value, &number)) return NULL;
    if (self->view) return fail(PyExc_TypeError, "the number is stored elsewhere");
    self->number = number;
    Py_RETURN_NONE;
}

static inline PyObject *add(Series *self, double number) {
    const double *bound = self->family->bound;
    int low = 0, high = self->family->bounds;
    while (low < high) {
        int middle = (low + high) / 2;
        if (bound[middle] < number) low = middle + 1;
        else high = middle;
    }
    if (self->view) return fail(PyExc_TypeError, "the numbers are stored elsewhere");
    self->counts[low]++;
    self->number += number;
    Py_RETURN_NONE;
}

static PyObject *observe(Series *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    double number;
    PyObject *value;
    if (arguments(args, count, keywords, value_name, &value) || number_of(value, &number)) return NULL;
    if (isnan(number)) return fail(PyExc_ValueError, "a histogram cannot observe NaN");
    return add(self, number);
}

/* Timing ----------------------------------------------------------------------------------------------------------- */

static inline double now(void) {
    struct timespec clock;
    clock_gettime(CLOCK_MONOTONIC, &clock);
    return (double)clock.tv_sec + (double)clock.tv_nsec * 1e-9;
}

static Timer *unused; /* one timer for reuse */

static PyObject *time_(Series *self, PyObject *none) {
    Timer *timer = unused;
    if (timer) {
        unused = NULL;
        PyObject_Init((PyObject *)timer, &TimerType);
    } else if (!(timer = PyObject_New(Timer, &TimerType))) return NULL;
    timer->histogram = (Series *)Py_NewRef((PyObject *)self);
    return (PyObject *)timer;
}

static void timer_free(Timer *self) {
    Py_DECREF(self->histogram);
    if (unused) PyObject_Free(self);
    else unused = self;
}

static PyObject *timer_enter(Timer *self, PyObject *none) {
    self->start = now();
    return Py_NewRef((PyObject *)self);
}

static PyObject *timer_exit(Timer *self, PyObject *const *args, Py_ssize_t count) {
    return add(self->histogram, now() - self->start);
}

static PyObject *timed_call(PyObject *callable, PyObject *const *args, size_t count, PyObject *keywords) {
    Timed *self = (Timed *)callable;
    double start = now();
    PyObject *result = PyObject_Vectorcall(self->function, args, count, keywords);
    PyObject *none = add(self->histogram, now() - start);
    if (!none) Py_CLEAR(result);
    Py_XDECREF(none);
    return result;
}

/* A timer that is called decorates a function. */
static PyObject *timer_call(Timer *self, PyObject *args, PyObject *keywords) {
    PyObject *function;
    Timed *timed;
    if (!PyArg_ParseTuple(args, "O", &function) || !(timed = PyObject_New(Timed, &TimedType))) return NULL;
    timed->call = timed_call;
    timed->function = Py_NewRef(function);
    timed->histogram = (Series *)Py_NewRef((PyObject *)self->histogram);
    return (PyObject *)timed;
}

static void timed_free(Timed *self) {
    Py_DECREF(self->function);
    Py_DECREF(self->histogram);
    PyObject_Free(self);
}

/* Series ----------------------------------------------------------------------------------------------------------- */

static void leave(Family *family) {
    if (--family->users) return;
    Py_XDECREF(family->labels);
    Py_XDECREF(family->header);
    Py_XDECREF(family->start);
    Py_XDECREF(family->sum);
    Py_XDECREF(family->count);
    for (int i = 0; i <= family->bounds; i++) Py_XDECREF(family->ends[i]);
    PyMem_Free(family);
}

static void series_free(Series *self) {
    leave(self->family);
    Py_DECREF(self->values);
    PyMem_Free(self->text);
    PyObject_Free(self);
}

static int is_text(PyObject *value) {
    if (!PyUnicode_CheckExact(value)) {
        fail(PyExc_TypeError, "a label value must be a str");
        return 0;
    }
    return PyUnicode_IS_ASCII(value) || PyUnicode_AsUTF8(value); /* no surrogates */
}

static Series *make_series(Metric *self, PyObject *const *values, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_text(values[i])) return NULL;
    PyTypeObject *type = self->family->type;
    Series *series = PyObject_NewVar(Series, type, type == &HistogramType ? self->family->bounds + 1 : 0);
    if (!series) return NULL;
    size_t head = sizeof(PyVarObject), size = type->tp_basicsize + type->tp_itemsize * Py_SIZE(series);
    memset((char *)series + head, 0, size - head);
    series->family = self->family;
    self->family->users++;
    if (!(series->values = PyTuple_New(count))) {
        series->values = Py_NewRef(Py_None);
        Py_DECREF(series);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) PyTuple_SET_ITEM(series->values, i, Py_NewRef(values[i]));
    return series;
}

static int grow(Metric *self) {
    Py_ssize_t mask = self->mask * 2 + 1;
    Slot *slots = PyMem_Calloc(mask + 1, sizeof(Slot));
    Series **order = slots ? PyMem_Realloc(self->order, (mask + 1) * sizeof(Series *)) : NULL;
    if (!order) {
        PyMem_Free(slots);
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i <= self->mask; i++) {
        Slot *slot = self->slots + i;
        Py_ssize_t j = slot->hash & mask;
        while (slot->series && slots[j].series) j = (j + 1) & mask;
        if (slot->series) slots[j] = *slot;
    }
    PyMem_Free(self->slots);
    self->slots = slots, self->order = order, self->mask = mask;
    return 0;
}

static inline int same(PyObject *one, PyObject *other) {
    return one == other || (PyUnicode_GET_LENGTH(one) == PyUnicode_GET_LENGTH(other) && !PyUnicode_Compare(one, other));
}

static PyObject *find(Metric *self, PyObject *const *values, Py_ssize_t count) {
    Py_uhash_t hash = 0x345678;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!PyUnicode_CheckExact(values[i])) return fail(PyExc_TypeError, "a label value must be a str");
        Py_hash_t kept = ((PyASCIIObject *)values[i])->hash;
        hash = (hash ^ (Py_uhash_t)(kept != -1 ? kept : PyObject_Hash(values[i]))) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    Py_ssize_t j = hash & self->mask;
    for (Slot *slot; (slot = self->slots + j)->series; j = (j + 1) & self->mask) {
        if (slot->hash != hash) continue;
        PyObject **own = ((PyTupleObject *)slot->series->values)->ob_item;
        Py_ssize_t i = 0;
        while (i < count && same(own[i], values[i])) i++;
        if (i == count) return Py_NewRef((PyObject *)slot->series);
    }
    Series *series = make_series(self, values, count);
    if (!series) return NULL;
    self->slots[j] = (Slot){hash, series};
    self->order[self->used++] = series;
    Py_INCREF(series);
    if (self->used * 3 > self->mask * 2 && grow(self)) Py_CLEAR(series);
    return (PyObject *)series;
}

static PyObject *labels(Metric *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    PyObject *names = self->family->labels, *ordered[MOST_LABELS];
    Py_ssize_t expected = PyTuple_GET_SIZE(names);
    if (!keywords && count == expected) return find(self, args, count);
    if (!keywords || count || PyTuple_GET_SIZE(keywords) != expected)
        return fail(PyExc_TypeError, "wrong number of labels");
    for (Py_ssize_t i = 0, j; i < expected; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, i);
        for (j = 0; j < expected && PyTuple_GET_ITEM(names, j) != keyword; j++) {}
        for (j = j < expected ? j : 0; j < expected && !same(PyTuple_GET_ITEM(names, j), keyword); j++) {}
        if (j == expected) return fail(PyExc_TypeError, "unknown label");
        ordered[j] = args[i];
    }
    return find(self, ordered, expected);
}

/* Text ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    char *bytes;
    size_t used, size;
} Buffer;

static int reserve(Buffer *buffer, size_t more) {
    if (buffer->used + more <= buffer->size) return 0;
    size_t size = (buffer->used + more) * 2;
    char *bytes = PyMem_RawRealloc(buffer->bytes, size);
    if (!bytes) {
        PyErr_NoMemory();
        return -1;
    }
    buffer->bytes = bytes, buffer->size = size;
    return 0;
}

static inline char *copy(char *to, const char *from, size_t length) {
    memcpy(to, from, length);
    return to + length;
}

static inline char *copy_ascii(char *to, PyObject *from) {
    return copy(to, (const char *)PyUnicode_1BYTE_DATA(from), PyUnicode_GET_LENGTH(from));
}

/* `number` as the text format has it; NULL without memory. */
static char *copy_number(char *to, double number) {
    if (number >= 0.0 && number < 1e15 && number == (double)(uint64_t)number) {
        char digits[NUMBER_BYTES], *digit = digits + NUMBER_BYTES;
        uint64_t rest = (uint64_t)number;
        do *--digit = '0' + rest % 10; while (rest /= 10);
        return copy(copy(to, digit, digits + NUMBER_BYTES - digit), ".0", 2);
    }
    if (isnan(number)) return copy(to, "NaN", 3);
    if (isinf(number)) return copy(to, number > 0 ? "+Inf" : "-Inf", 4);
    char *text = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (!text) return NULL;
    to = copy(to, text, strlen(text));
    PyMem_Free(text);
    return to;
}

/* Makes the series' text up to its number: `before`, the label pairs and `after`. */
static int make_text(Series *self, PyObject *before, const char *after) {
    PyObject *names = self->family->labels;
    size_t size = PyUnicode_GET_LENGTH(before) + strlen(after) + NUMBER_BYTES;
    Py_ssize_t length;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        if (!PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(self->values, i), &length)) return -1;
        size += PyUnicode_GET_LENGTH(PyTuple_GET_ITEM(names, i)) + 2 * length + 4;
    }
    char *scratch = PyMem_Malloc(size), *to = scratch;
    if (!scratch) return -1;
    to = copy_ascii(to, before);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        if (i) *to++ = ',';
        to = copy(copy_ascii(to, PyTuple_GET_ITEM(names, i)), "=\"", 2);
        const char *value = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(self->values, i), &length);
        for (Py_ssize_t j = 0; j < length; j++) {
            if (value[j] == '\\' || value[j] == '"' || value[j] == '\n') *to++ = '\\';
            *to++ = value[j] == '\n' ? 'n' : value[j];
        }
        *to++ = '"';
    }
    to = copy(to, after, strlen(after));
    self->start = (int)(to - scratch);
    self->text = PyMem_Malloc(self->start + NUMBER_BYTES);
    if (self->text) memcpy(self->text, scratch, self->start);
    PyMem_Free(scratch);
    self->shown = NAN;
    return self->text ? 0 : -1;
}

static inline int show(Series *self, const char *newline) {
    if (self->number == self->shown) return 0;
    char *end = copy_number(self->text + self->start, self->number);
    if (!end) return -1;
    end = copy(end, newline, strlen(newline));
    self->length = (int)(end - self->text);
    self->shown = self->number;
    return 0;
}

static int add_line(Series *self, Buffer *buffer) {
    int labelled = PyTuple_GET_SIZE(self->values) > 0;
    if (!self->text && make_text(self, self->family->start, labelled ? "} " : " ")) return -1;
    if (show(self, "\n") || reserve(buffer, self->length)) return -1;
    copy(buffer->bytes + buffer->used, self->text, self->length);
    buffer->used += self->length;
    return 0;
}

static int add_histogram(Series *self, Buffer *buffer) {
    Family *family = self->family;
    int labelled = PyTuple_GET_SIZE(self->values) > 0;
    PyObject *nothing = PyUnicode_FromStringAndSize("", 0);
    int failed = !self->text && make_text(self, nothing, "");
    Py_DECREF(nothing);
    if (failed || show(self, "")) return -1;
    size_t line = PyUnicode_GET_LENGTH(family->start) + self->start + 2 * NUMBER_BYTES + 32;
    if (reserve(buffer, line * (family->bounds + 3))) return -1;
    char *to = buffer->bytes + buffer->used;
    double total = 0.0;
    for (int i = 0; i <= family->bounds; i++) {
        total += (double)self->counts[i];
        to = copy(copy_ascii(to, family->start), self->text, self->start);
        to = copy_number(copy_ascii(to, family->ends[i]), total);
        *to++ = '\n';
    }
    to = copy(copy_ascii(to, family->sum), self->text, self->start);
    to = copy(to, "} " + !labelled, 1 + labelled);
    to = copy(to, self->text + self->start, self->length - self->start);
    *to++ = '\n';
    to = copy(copy_ascii(to, family->count), self->text, self->start);
    to = copy_number(copy(to, "} " + !labelled, 1 + labelled), total);
    *to++ = '\n';
    buffer->used = to - buffer->bytes;
    return 0;
}

static PyObject *render(Metric *self, PyObject *none) {
    Buffer buffer = {NULL, 0, 0};
    int failed = reserve(&buffer, PyUnicode_GET_LENGTH(self->family->header));
    if (!failed) buffer.used = copy_ascii(buffer.bytes, self->family->header) - buffer.bytes;
    int (*add_text)(Series *, Buffer *) = self->family->type == &HistogramType ? add_histogram : add_line;
    for (Py_ssize_t i = 0; !failed && i < self->used; i++) failed = add_text(self->order[i], &buffer);
    PyObject *text = failed ? NULL : PyBytes_FromStringAndSize(buffer.bytes, buffer.used);
    PyMem_RawFree(buffer.bytes);
    if (!text && !PyErr_Occurred()) PyErr_NoMemory();
    return text;
}

/* Metrics ---------------------------------------------------------------------------------------------------------- */

static void metric_free(Metric *self) {
    for (Py_ssize_t i = 0; i < self->used; i++) Py_DECREF(self->order[i]);
    PyMem_Free(self->order);
    PyMem_Free(self->slots);
    if (self->family) leave(self->family);
    PyObject_Free(self);
}

static PyObject *bound_end(Family *family, int i) {
    const char *comma = PyTuple_GET_SIZE(family->labels) ? "," : "";
    if (i == family->bounds) return PyUnicode_FromFormat("%sle=\"+Inf\"} ", comma);
    char *bound = PyOS_double_to_string(family->bound[i], 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    PyObject *end = bound ? PyUnicode_FromFormat("%sle=\"%s\"} ", comma, bound) : NULL;
    PyMem_Free(bound);
    return end;
}

/* Metric(kind, name, help, labels, bounds): names in ASCII, and the help text as it is to be exposed. */
static PyObject *metric_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    const char *kind, *name, *help;
    PyObject *names, *bounds;
    if (!PyArg_ParseTuple(args, "sssO!O!", &kind, &name, &help, &PyTuple_Type, &names, &PyTuple_Type, &bounds))
        return NULL;
    if (PyTuple_GET_SIZE(bounds) > MOST_BOUNDS || PyTuple_GET_SIZE(names) > MOST_LABELS)
        return fail(PyExc_ValueError, "too many bounds or labels");
    Metric *self = (Metric *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    Family *family = self->family = PyMem_Calloc(1, sizeof(Family));
    self->mask = 7;
    self->slots = PyMem_Calloc(8, sizeof(Slot));
    self->order = PyMem_Malloc(8 * sizeof(Series *));
    int failed = !family || !self->slots || !self->order;
    if (!failed) {
        int histogram = !strcmp(kind, "histogram"), labelled = PyTuple_GET_SIZE(names) > 0;
        family->users = 1;
        family->labels = Py_NewRef(names);
        family->type = histogram ? &HistogramType : !strcmp(kind, "gauge") ? &GaugeType : &CounterType;
        family->bounds = (int)PyTuple_GET_SIZE(bounds);
        for (int i = 0; i < family->bounds; i++) family->bound[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(bounds, i));
        for (int i = 0; i <= family->bounds; i++) family->ends[i] = bound_end(family, i);
        family->header = PyUnicode_FromFormat("# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
        family->start = PyUnicode_FromFormat("%s%s", name, histogram ? "_bucket{" : labelled ? "{" : "");
        family->sum = PyUnicode_FromFormat("%s_sum%s", name, labelled ? "{" : "");
        family->count = PyUnicode_FromFormat("%s_count%s", name, labelled ? "{" : "");
    }
    if (failed) PyErr_NoMemory();
    if (PyErr_Occurred()) Py_CLEAR(self);
    return (PyObject *)self;
}

/* Types ------------------------------------------------------------------------------------------------------------ */

#define KEYWORDS METH_FASTCALL | METH_KEYWORDS
#define METHODS(name) static PyMethodDef name[]
#define FUNCTION(name) (PyCFunction)(void (*)(void))name

METHODS(counter_methods) = {{"inc", FUNCTION(inc), KEYWORDS}, {0}};
METHODS(gauge_methods) = {{"set", FUNCTION(set), KEYWORDS}, {0}};
METHODS(histogram_methods) = {{"observe", FUNCTION(observe), KEYWORDS}, {"time", FUNCTION(time_), METH_NOARGS}, {0}};
METHODS(metric_methods) = {{"labels", FUNCTION(labels), KEYWORDS}, {"render", FUNCTION(render), METH_NOARGS}, {0}};
METHODS(timer_methods) = {
    {"__enter__", FUNCTION(timer_enter), METH_NOARGS}, {"__exit__", FUNCTION(timer_exit), METH_FASTCALL}, {0}};

#define TYPE(name, struct, free, ...) \
    static PyTypeObject name##Type = { \
        PyVarObject_HEAD_INIT(NULL, 0).tp_name = "limit." #name, .tp_basicsize = sizeof(struct), \
        .tp_dealloc = (destructor)free, .tp_flags = Py_TPFLAGS_DEFAULT, __VA_ARGS__};

TYPE(Counter, Series, series_free, .tp_methods = counter_methods)
TYPE(Gauge, Series, series_free, .tp_methods = gauge_methods)
TYPE(Histogram, Series, series_free, .tp_methods = histogram_methods, .tp_itemsize = sizeof(int64_t))
TYPE(Metric, Metric, metric_free, .tp_methods = metric_methods, .tp_new = metric_new)
TYPE(Timer, Timer, timer_free, .tp_methods = timer_methods, .tp_call = (ternaryfunc)timer_call)
TYPE(Timed, Timed, timed_free, .tp_call = PyVectorcall_Call, .tp_vectorcall_offset = offsetof(Timed, call))

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "limit", .m_size = -1};

PyMODINIT_FUNC PyInit_limit(void) {
    amount_name = PyUnicode_InternFromString("amount");
    value_name = PyUnicode_InternFromString("value");
    exemplar_name = PyUnicode_InternFromString("exemplar");
    PyTypeObject *types[] = {&CounterType, &GaugeType, &HistogramType, &MetricType, &TimerType, &TimedType};
    TimedType.tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (PyType_Ready(types[i])) return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddObjectRef(made, "Metric", (PyObject *)&MetricType)) Py_CLEAR(made);
    return made;
}
