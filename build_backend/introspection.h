/* What the compiled build does to tell of itself what the pure build tells; build_backend/introspection.py puts it at
   the head of the code that mypyc generates, and the calls of it where they belong. */

#include <marshal.h>

#if defined(__GNUC__)
#define PYTHEUS_COLD __attribute__((cold, noinline, unused))
#else
#define PYTHEUS_COLD
#endif

/* After a TypeError about the arguments of a call: let a Python function with the same parameters word it.

   `parameters` is the text of a lambda. `keywords` are the keyword arguments as a dict where `names` is NULL; otherwise
   `names` are their names, and their values follow the positional ones. Always returns NULL. */
static PYTHEUS_COLD PyObject *Pytheus_Refuse(const char *qualified_name, const char *parameters, PyObject *self,
                                             PyObject *const *values, Py_ssize_t count, PyObject *names,
                                             PyObject *keywords)
{
    PyObject *type, *error, *traceback, *function = NULL, *name = NULL, *result = NULL, **given = NULL;
    Py_ssize_t all = count + (names == NULL ? 0 : PyTuple_GET_SIZE(names));
    if (!PyErr_ExceptionMatches(PyExc_TypeError))
        return NULL;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *globals = Py_BuildValue("{s:O}", "__builtins__", PyEval_GetBuiltins());
    if (globals != NULL)
        function = PyRun_String(parameters, Py_eval_input, globals, globals);
    if (function != NULL)
        name = PyUnicode_FromString(qualified_name);
    if (name != NULL && PyObject_SetAttrString(function, "__qualname__", name) == 0)
        given = PyMem_Malloc((size_t)(all + 1) * sizeof(PyObject *));
    if (given != NULL) {
        given[0] = self;
        if (all)
            memcpy(given + 1, values, (size_t)all * sizeof(PyObject *));
        PyObject **first = self == NULL ? given + 1 : given;
        size_t positional = (size_t)(self == NULL ? count : count + 1);
        if (names != NULL)
            result = PyObject_Vectorcall(function, first, positional, names);
        else
            result = PyObject_VectorcallDict(function, first, positional, keywords);
    }
    if (result == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_TypeError)) {
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
    } else { /* also where the two disagree: then mypyc's own words have to do */
        PyErr_Clear();
        PyErr_Restore(type, error, traceback);
    }
    PyMem_Free(given);
    Py_XDECREF(result);
    Py_XDECREF(name);
    Py_XDECREF(function);
    Py_XDECREF(globals);
    return NULL;
}

/* An argument of a type that compiled code cannot take. */
static PYTHEUS_COLD void Pytheus_WrongType(const char *qualified_name, const char *parameter, const char *expected,
                                           PyObject *given)
{
    PyErr_Format(PyExc_TypeError, "%s() argument '%s' must be %s, not %.200s", qualified_name, parameter, expected,
                 Py_TYPE(given)->tp_name);
}

/* put(class, name, make): let the attribute `name` be `make(what it is)`, or not be there if `make` is None.

   Past type.__setattr__, so that the interpreter goes on calling the native code and never a function made here. */
static PyObject *Pytheus_Put(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *cls, *name, *make;
    if (!PyArg_ParseTuple(arguments, "O!UO", &PyType_Type, &cls, &name, &make))
        return NULL;
    PyObject *attributes = ((PyTypeObject *)cls)->tp_dict;
    PyObject *native = PyDict_GetItemWithError(attributes, name);
    if (native == NULL) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_SystemError, "%R has no attribute %R", cls, name);
        return NULL;
    }
    if (make == Py_None) {
        if (PyDict_DelItem(attributes, name) < 0)
            return NULL;
    } else {
        PyObject *function = PyObject_CallFunctionObjArgs(make, native, NULL);
        if (function == NULL || PyDict_SetItem(attributes, name, function) < 0) {
            Py_XDECREF(function);
            return NULL;
        }
        Py_DECREF(function);
    }
    PyType_Modified((PyTypeObject *)cls);
    Py_RETURN_NONE;
}

static PyMethodDef Pytheus_PutDefinition = {"put", Pytheus_Put, METH_VARARGS, NULL};

/* Run marshalled code with the module's names, and `put`; returns 0, or -1 with an exception. */
static int Pytheus_Run(PyObject *globals, const char *code, Py_ssize_t size)
{
    PyObject *compiled = PyMarshal_ReadObjectFromString(code, size);
    PyObject *put = PyCFunction_New(&Pytheus_PutDefinition, NULL);
    PyObject *locals = put == NULL ? NULL : Py_BuildValue("{s:O}", "put", put);
    PyObject *result = compiled == NULL || locals == NULL ? NULL : PyEval_EvalCode(compiled, globals, locals);
    Py_XDECREF(locals);
    Py_XDECREF(put);
    Py_XDECREF(compiled);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}
