/* What the compiled build does to tell of itself what the pure build tells; build_backend/introspection.py puts it at
   the head of the code that mypyc generates, and the calls of it where they belong. */

#include <marshal.h>

#define PYTHEUS_BOUND '.'
#define PYTHEUS_UNBOUND ' '

#if defined(__GNUC__)
#define PYTHEUS_APART __attribute__((noinline))
#define PYTHEUS_COLD __attribute__((noinline, cold, unused))
#elif defined(_MSC_VER)
#define PYTHEUS_APART __declspec(noinline)
#define PYTHEUS_COLD __declspec(noinline)
#else
#define PYTHEUS_APART
#define PYTHEUS_COLD
#endif

/* After a TypeError about the arguments of a call: let a Python function with the same parameters word it.

   `stub` is the text of a lambda. `keywords` are the keyword arguments as a dict where `names` is NULL; otherwise `names`
   are their names, and their values follow the positional ones. `is_bound` where the lambda takes one argument more. */
static PYTHEUS_COLD void Pytheus_Refuse(const char *name, const char *stub, int is_bound, PyObject *const *values,
                                        Py_ssize_t count, PyObject *names, PyObject *keywords)
{
    PyObject *type, *error, *traceback, *function = NULL, *text = NULL, *result = NULL, **given = NULL;
    Py_ssize_t all = count + (names == NULL ? 0 : PyTuple_GET_SIZE(names));
    if (!PyErr_ExceptionMatches(PyExc_TypeError))
        return;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *globals = Py_BuildValue("{s:O}", "__builtins__", PyEval_GetBuiltins());
    if (globals != NULL)
        function = PyRun_String(stub, Py_eval_input, globals, globals);
    if (function != NULL)
        text = PyUnicode_FromString(name);
    if (text != NULL && PyObject_SetAttrString(function, "__qualname__", text) == 0)
        given = PyMem_Malloc((size_t)(all + 1) * sizeof(PyObject *));
    if (given != NULL) {
        given[0] = Py_None; /* the object that is called on: the error does not depend on it */
        if (all)
            memcpy(given + 1, values, (size_t)all * sizeof(PyObject *));
        PyObject **first = is_bound ? given : given + 1;
        size_t positional = (size_t)(is_bound ? count + 1 : count);
        if (names != NULL)
            result = PyObject_Vectorcall(function, first, positional, names);
        else
            result = PyObject_VectorcallDict(function, first, positional, keywords);
    }
    if (result == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_TypeError)) {
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
    } else { /* where the two disagree, mypyc's words have to do */
        PyErr_Clear();
        PyErr_Restore(type, error, traceback);
    }
    PyMem_Free(given);
    Py_XDECREF(result);
    Py_XDECREF(text);
    Py_XDECREF(function);
    Py_XDECREF(globals);
}

/* Parse the arguments of a call, as mypyc does, and let a call that does not fit be refused. Apart from the functions that
   call it for unusual arguments, which would otherwise keep more registers in usual calls; so would the wrappers.

   The format of a function of the source is "<format>:<mark><name>\0<stub>", the mark telling whether it is bound.

   A function of any values and any keywords, called without keywords, gets the empty dict of the last such call again,
   if that one holds it no more: making a dict takes longer than the rest of the parsing. */
static PYTHEUS_APART int Pytheus_Parse(PyObject *const *args, Py_ssize_t nargs, PyObject *kwargs,
                                       PyObject *kwnames, CPyArg_Parser *parser, va_list *p_va)
{
#ifndef Py_GIL_DISABLED
    static PyObject *none_named = NULL;
    if (parser->varargs && kwnames == NULL && parser->kwtuple != NULL && parser->keywords[0] == NULL) {
        va_list va;
        va_copy(va, *p_va);
        PyObject **p_values = va_arg(va, PyObject **);
        PyObject **p_named = va_arg(va, PyObject **);
        va_end(va);
        if (p_values != NULL && p_named != NULL) {
            if (none_named == NULL || Py_REFCNT(none_named) != 1 || PyDict_GET_SIZE(none_named) != 0) {
                PyObject *named = PyDict_New();
                if (named == NULL)
                    return 0;
                Py_XSETREF(none_named, named);
            }
            PyObject *values = PyTuple_New(nargs);
            if (values == NULL)
                return 0;
            for (Py_ssize_t i = 0; i < nargs; i++)
                PyTuple_SET_ITEM(values, i, Py_NewRef(args[i]));
            *p_values = values;
            *p_named = Py_NewRef(none_named);
            return 1;
        }
    }
#endif
    int fits = vgetargskeywordsfast_impl(args, nargs, kwargs, kwnames, parser, p_va);
    if (unlikely(!fits)) {
        const char *name = strchr(parser->format, ':');
        if (name != NULL && (name[1] == PYTHEUS_BOUND || name[1] == PYTHEUS_UNBOUND))
            Pytheus_Refuse(name + 2, name + strlen(name) + 1, name[1] == PYTHEUS_BOUND, args, nargs, kwnames, NULL);
    }
    return fits;
}

#if defined(__GNUC__) && !defined(Py_GIL_DISABLED)
/* The most common calls, with one positional argument or none, without a call of the parser: no compiler inlines a function
   of variable arguments. The parser knows how many arguments fit once it has been called. */
static inline int Pytheus_IsParsed(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                                   const CPyArg_Parser *parser, PyObject **first)
{
    if (kwnames != NULL || nargs > 1 || parser->kwtuple == NULL || nargs < parser->min || nargs > parser->max)
        return 0;
    if (nargs)
        *first = args[0];
    return 1;
}

#define PYTHEUS_FIRST(first, ...) first
#define CPyArg_ParseStackAndKeywordsSimple(args, nargs, kwnames, parser, ...)                          \
    (Pytheus_IsParsed(args, nargs, kwnames, parser, PYTHEUS_FIRST(__VA_ARGS__, NULL))                  \
     || CPyArg_ParseStackAndKeywordsSimple(args, nargs, kwnames, parser, __VA_ARGS__))
#define CPyArg_ParseStackAndKeywordsOneArg(args, nargs, kwnames, parser, only)                         \
    (((nargs) == 1 && (kwnames) == NULL && (*(only) = (args)[0], 1))                                   \
     || CPyArg_ParseStackAndKeywordsOneArg(args, nargs, kwnames, parser, only))
#endif

/* An argument of a type that compiled code cannot take. */
static PYTHEUS_COLD void Pytheus_WrongType(const char *name, const char *parameter, const char *expected,
                                           PyObject *given)
{
    PyErr_Format(PyExc_TypeError, "%s() argument '%s' must be %s, not %.200s", name, parameter, expected,
                 Py_TYPE(given)->tp_name);
}

/* Give a class a method that it inherits as one of its own, as the interpreter calls it faster; returns 0, or -1 with an
   exception. CPython's specialised calls compare the type of the object with the type that the method was made for. */
static int Pytheus_Own(PyObject *cls, const char *name)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    PyObject *own, *inherited = PyObject_GetAttrString(cls, name);
    int result = 0;
    if (inherited == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    if (Py_TYPE(inherited) == &PyMethodDescr_Type && ((PyDescrObject *)inherited)->d_type != type) {
        own = PyDescr_NewMethod(type, ((PyMethodDescrObject *)inherited)->d_method);
        if (own != NULL) /* the name that it has where it is defined */
            ((PyDescrObject *)own)->d_qualname = PyObject_GetAttrString(inherited, "__qualname__");
        if (own == NULL || ((PyDescrObject *)own)->d_qualname == NULL || PyDict_SetItemString(type->tp_dict, name, own) < 0)
            result = -1;
        Py_XDECREF(own);
        PyType_Modified(type);
    }
    Py_DECREF(inherited);
    return result;
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
    // As in a module of plain Python. Native code that one of these functions calls could import nothing without it.
    PyObject *builtins = PyUnicode_InternFromString("__builtins__");
    if (builtins == NULL || PyDict_SetDefault(globals, builtins, PyEval_GetBuiltins()) == NULL) {
        Py_XDECREF(builtins);
        return -1;
    }
    Py_DECREF(builtins);
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
