/* Methods and functions of the interpreter as compiled code calls them; build_backend/primitives.py says which, and puts this at the
   head of the code that mypyc generates. */

/* cls.__new__(of): the object without its attributes, without a look for the method and a tuple for the arguments. */
static PyObject *Pytheus_New(PyObject *cls, PyObject *of)
{
    static PyObject *none = NULL;
    newfunc new = PyType_Check(cls) ? ((PyTypeObject *)cls)->tp_new : NULL;
    if (unlikely(cls != of || new == NULL))
        return PyObject_CallMethod(cls, "__new__", "O", of);
    if (unlikely(none == NULL) && (none = PyTuple_New(0)) == NULL)
        return NULL;
    return new((PyTypeObject *)cls, none, NULL);
}

/* text.isascii() */
static inline char Pytheus_IsAscii(PyObject *text)
{
    return PyUnicode_IS_ASCII(text);
}

/* text.find(sub), quickly for one character. */
static CPyTagged Pytheus_Find(PyObject *text, PyObject *sub)
{
    if (PyUnicode_GET_LENGTH(sub) != 1 || !PyUnicode_IS_COMPACT_ASCII(text) || !PyUnicode_IS_COMPACT_ASCII(sub))
        return CPyStr_Find(text, sub, 0, 1);
    const char *begin = (const char *)PyUnicode_1BYTE_DATA(text);
    const char *found = memchr(begin, PyUnicode_1BYTE_DATA(sub)[0], PyUnicode_GET_LENGTH(text));
    return CPyTagged_ShortFromSsize_t(found == NULL ? -1 : found - begin);
}

/* text.rfind(sub), quickly for one character near the end. */
static CPyTagged Pytheus_FindLast(PyObject *text, PyObject *sub)
{
    if (PyUnicode_GET_LENGTH(sub) != 1 || !PyUnicode_IS_COMPACT_ASCII(text) || !PyUnicode_IS_COMPACT_ASCII(sub))
        return CPyStr_Find(text, sub, 0, -1);
    const Py_UCS1 *begin = PyUnicode_1BYTE_DATA(text), wanted = PyUnicode_1BYTE_DATA(sub)[0];
    Py_ssize_t at = PyUnicode_GET_LENGTH(text);
    while (--at >= 0 && begin[at] != wanted)
        ;
    return CPyTagged_ShortFromSsize_t(at);
}

/* text.replace(old, new), quickly for one character by many. */
static PyObject *Pytheus_Replace(PyObject *text, PyObject *old, PyObject *new)
{
    if (PyUnicode_GET_LENGTH(old) != 1 || !PyUnicode_IS_COMPACT_ASCII(text) || !PyUnicode_IS_COMPACT_ASCII(old)
        || !PyUnicode_IS_COMPACT_ASCII(new))
        return PyUnicode_Replace(text, old, new, -1);
    const char *from = (const char *)PyUnicode_1BYTE_DATA(text), *end = from + PyUnicode_GET_LENGTH(text), *at;
    const int mark = PyUnicode_1BYTE_DATA(old)[0];
    const Py_ssize_t size = PyUnicode_GET_LENGTH(new);
    Py_ssize_t times = 0;
    for (at = from; (at = memchr(at, mark, end - at)) != NULL; at++)
        times++;
    if (times == 0)
        return Py_NewRef(text);
    if (size > 1 && times > (PY_SSIZE_T_MAX - (end - from)) / (size - 1))
        return PyErr_NoMemory();
    PyObject *whole = PyUnicode_New((end - from) + times * (size - 1), 127);
    if (whole == NULL)
        return NULL;
    char *to = (char *)PyUnicode_1BYTE_DATA(whole);
    for (; (at = memchr(from, mark, end - from)) != NULL; from = at + 1) {
        memcpy(to, from, at - from);
        to += at - from;
        memcpy(to, PyUnicode_1BYTE_DATA(new), size);
        to += size;
    }
    memcpy(to, from, end - from);
    return whole;
}

/* time.perf_counter(), without an object. The clock is read once as the interpreter starts, which stops if that fails. */
static inline double Pytheus_PerfCounter(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyTime_t now;
    (void)PyTime_PerfCounterRaw(&now);
    return PyTime_AsSecondsDouble(now);
#else
    return _PyTime_AsSecondsDouble(_PyTime_GetPerfCounter());
#endif
}

/* line[:line.rfind(" ") + 1] + end, without the slice between. */
static PyObject *Pytheus_WithEnd(PyObject *line, PyObject *end)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(line), after = PyUnicode_GET_LENGTH(end);
    if (unlikely(!PyUnicode_IS_COMPACT_ASCII(line) || !PyUnicode_IS_COMPACT_ASCII(end))) {
        Py_ssize_t space = PyUnicode_FindChar(line, ' ', 0, length, -1);
        PyObject *head = space == -2 ? NULL : PyUnicode_Substring(line, 0, space + 1);
        PyObject *whole = head == NULL ? NULL : PyUnicode_Concat(head, end);
        Py_XDECREF(head);
        return whole;
    }
    const Py_UCS1 *text = PyUnicode_1BYTE_DATA(line);
    while (length > 0 && text[length - 1] != ' ')
        length--;
    PyObject *whole = PyUnicode_New(length + after, 127);
    if (whole != NULL) {
        memcpy(PyUnicode_1BYTE_DATA(whole), text, length);
        memcpy(PyUnicode_1BYTE_DATA(whole) + length, PyUnicode_1BYTE_DATA(end), after);
    }
    return whole;
}
